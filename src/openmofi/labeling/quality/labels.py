"""Labels with their scores, from a file of labels or from a store's tables, in one shape."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmofi.errors import InputError
from openmofi.records import from_parquet
from openmofi.storage import Store
from openmofi.versions import read_table_versions
from openmofi.work import Work, align

_METADATA = b"openmofi"
_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("clip_score", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Labels:
    """Labels that assembly could keep: the settled candidates.

    Args:
        table: shard, key, entity_id, clip_score (cosine), in the order of shards and samples.
        made_with: Digests of ``model`` and ``knowledge_base``, options ``label``; empty if unknown.
        source: What messages call them.
    """

    table: pa.Table
    made_with: Mapping[str, Any]
    source: str


def read_label_file(path: Path) -> Labels:
    """The labels in a Parquet file of ``openmofi labeling label``; all where none say settled.

    Raises:
        InputError: It is missing, no such file, or holds no label.
    """
    if not path.is_file():
        raise InputError(f"labels file not found: {path}")
    try:
        # Threads of Arrow are left out for the reason that records tells.
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _check_columns(schema, path)
            wanted = [*_SCHEMA.names, *(["settled"] if "settled" in schema.names else [])]
            table = file.read(columns=wanted, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no readable Parquet file: {reason:.200}") from None
    return _labels(table, _made_with(schema, path), str(path))


def read_label_tables(
    scores: Sequence[str], samples: Sequence[str], shards: Collection[str] | None = None
) -> tuple[Labels, Store, Mapping[str, Work]]:
    """The labels in a store's ``entity_scores``, named by the keys in its ``samples``.

    Args:
        scores: Manifest URIs of entity_scores, one for each group of shards.
        samples: Manifest URIs of the samples of the same shards.
        shards: Those to read; all if ``None``.

    Returns:
        Labels, and for those who read pixels the store and the work of each shard.

    Raises:
        InputError: The tables are of different shards or roots, or hold no label.
        StorageError: The store cannot be read.
    """
    store, scored = read_table_versions(scores, "entity_scores")
    other, sampled = read_table_versions(samples, "samples")
    if other.uri != store.uri:
        raise InputError(f"entity_scores lie in {store.uri}, samples in {other.uri}; use one root")
    every = align({"samples": sampled, "entity_scores": scored})
    work = {one.shard: one for one in every if shards is None or one.shard in shards}
    tables = [_shard_labels(store, one) for one in work.values()]
    table = pa.concat_tables([_SCHEMA.empty_table(), *tables])
    source = ", ".join(scores)
    made_with = {**scored.digests, "label": dict(scored.config)}
    if not table.num_rows:
        raise InputError(f"{source} holds no settled label" + (" in these shards" * bool(shards)))
    return Labels(table, made_with, source), store, work


def _shard_labels(store: Store, work: Work) -> pa.Table:
    scores = from_parquet(store.get(work.tables["entity_scores"]))
    scores = scores.filter(scores.column("settled"))
    keys = from_parquet(store.get(work.tables["samples"])).column("key")
    rows = scores.column("row")
    if len(rows) and pc.max(rows).as_py() >= len(keys):
        raise InputError(
            f"shard '{work.shard}': entity_scores name row {pc.max(rows).as_py()} of {len(keys)} "
            "samples; they were made from different pools"
        )
    columns = [
        pa.array([work.shard] * scores.num_rows, pa.string()),
        keys.take(rows),
        scores.column("entity_id"),
        scores.column("clip_score"),
    ]
    return pa.table(columns, schema=_SCHEMA)


def _check_columns(schema: pa.Schema, path: Path) -> None:
    missing = [name for name in _SCHEMA.names if name not in schema.names]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; --labels "
            "takes a file of `openmofi labeling label`"
        )
    for name in (*_SCHEMA.names, *({"settled"} & set(schema.names))):
        kind = schema.field(name).type
        fits, wanted = {
            "clip_score": (pa.types.is_floating(kind), "floats"),
            "settled": (pa.types.is_boolean(kind), "true or false"),
        }.get(name, (pa.types.is_string(kind) or pa.types.is_large_string(kind), "strings"))
        if not fits:
            raise InputError(f"{path}: the column '{name}' must hold {wanted}, not {kind}")


def _made_with(schema: pa.Schema, path: Path) -> dict[str, Any]:
    """What the file says of itself, less its kind; nothing if it is a foreign one."""
    try:
        content = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("kind", "labels") != "labels":
        raise InputError(f"{path} holds no labels: its metadata say so")
    return {name: value for name, value in content.items() if name != "kind"}


def _labels(table: pa.Table, made_with: Mapping[str, Any], source: str) -> Labels:
    for name in table.column_names:
        if table.column(name).null_count:
            raise InputError(f"{source}: the column '{name}' has nulls")
    if "settled" in table.column_names:
        table = table.filter(table.column("settled"))
    table = table.select(_SCHEMA.names).cast(_SCHEMA)
    scores = table.column("clip_score")
    good = pc.and_(pc.greater_equal(scores, -1), pc.less_equal(scores, 1))
    if not pc.all(good, min_count=0).as_py():
        bad = table.filter(pc.invert(good)).slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{source}: sample '{bad['shard']}/{bad['key']}' has clip_score {bad['clip_score']}; a "
            "cosine lies between -1 and 1"
        )
    if not table.num_rows:
        raise InputError(f"{source} holds no settled label")
    return Labels(table, made_with, source)
