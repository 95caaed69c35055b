"""Heads by hand: the scores of a whole pool as one file, to choose bounds by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openmofi.errors import InputError
from openmofi.files import replacing
from openmofi.labeling.embed import read_embeddings
from openmofi.labeling.heads import LinearHead, read_head
from openmofi.progress import bar
from openmofi.stage import ShardInput
from openmofi.storage import Store
from openmofi.versions import read_table_versions
from openmofi.work import Work, align

SHARES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)


@dataclass(frozen=True)
class HeadScores:
    """What was written.

    Args:
        images: Samples of the pool.
        scored: Those with an embedding.
        quantiles: By column, at `SHARES` of the scored ones; empty if there is none.
    """

    images: int
    scored: int
    quantiles: Mapping[str, tuple[float, ...]]


def score_heads(
    image_embeddings: Sequence[str], samples: Sequence[str], heads: Mapping[str, str], out: Path
) -> HeadScores:
    """Apply heads to all recorded embeddings and write one Parquet file.

    Its columns are shard, key, and a ``float32`` for every output of every head: the head's name,
    with ``_`` and the output's name where it has several. Null where there is no embedding.

    Args:
        image_embeddings: Manifest URIs, one for each group of shards.
        samples: Manifest URIs, of the same pool.
        heads: Locations by name; see `read_head`.
        out: The file, which appears whole or not at all.

    Raises:
        InputError: A head is none, or was fitted on another model; tables of different pools; two
            columns of the same name; the file cannot be written.
    """
    store, version = read_table_versions(image_embeddings, "image_embeddings")
    _, pool = read_table_versions(samples, "samples")
    read = {name: read_head(location) for name, location in heads.items()}
    for head in read.values():
        head.check_encoder(version.digests.get("model", ""))
    columns = _columns(read)
    work = align({"samples": pool, "image_embeddings": version})
    schema = pa.schema(
        [
            pa.field("shard", pa.string(), nullable=False),
            pa.field("key", pa.string(), nullable=False),
            *(pa.field(name, pa.float32()) for name in columns),
        ]
    )
    with replacing(out) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for one in bar(work, label="heads", unit="shard"):
                writer.write_table(_scored(store, one, read, schema))
        return _summary(temporary, columns)


def _columns(heads: Mapping[str, LinearHead]) -> list[str]:
    columns = [
        name if len(head.outputs) == 1 else f"{name}_{output}"
        for name, head in heads.items()
        for output in head.outputs
    ]
    twice = {name for name in columns if columns.count(name) > 1} | {"shard", "key"} & {*columns}
    if twice:
        raise InputError(f"--head: two columns would be called '{sorted(twice)[0]}'; rename a head")
    return columns


def _scored(
    store: Store, work: Work, heads: Mapping[str, LinearHead], schema: pa.Schema
) -> pa.Table:
    shard = ShardInput(store, work, "")
    keys = shard.table("samples").column("key")
    vectors, places = read_embeddings(shard.table("image_embeddings"))
    if len(places) != len(keys):
        raise InputError(
            f"shard '{work.shard}': image_embeddings has {len(places)} rows and samples "
            f"{len(keys)}; they were made from different pools"
        )
    taken = pa.array(places, mask=places < 0)  # null takes null
    columns = [pa.array([work.shard] * len(keys), pa.string()), keys]
    for head in heads.values():
        columns += [pa.array(column).take(taken) for column in head.scores(vectors).T]
    return pa.table(columns, schema=schema)


def _summary(path: Path, columns: list[str]) -> HeadScores:
    """One column in memory at a time: four bytes an image."""
    quantiles = {}
    scored = 0
    with pq.ParquetFile(path) as file:
        for name in columns:
            values = file.read([name]).column(0).drop_null().to_numpy()
            scored = len(values)
            found = np.quantile(values, SHARES) if scored else np.empty(0)
            quantiles[name] = tuple(found.tolist())
        return HeadScores(file.metadata.num_rows, scored, quantiles)
