"""Versions of a data set as assembly would have written them, from a few words a sample."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from openmofi.dataset.versions.version import (
    DROPPED,
    FORMAT,
    KEPT,
    DatasetShard,
    digest_of,
    write_index,
)
from openmofi.keys import content_digest, hash_json
from openmofi.records import ENTITY_SCORES, VOCABULARY, from_rows, to_parquet
from openmofi.storage import Store, open_store
from openmofi.versions import (
    ShardEntry,
    TableVersion,
    sum_counts,
    write_manifest,
    write_table_version,
)

# Uid, then a split and class indices, or a cause alone.
Sample = tuple[Any, ...]
_SPLITS = ("train", "validation")


def write_version(
    root: str | Path,
    digest: str,
    shards: Mapping[str, Sequence[Sample]],
    *,
    entities: Sequence[str] = (),
    scores: Mapping[str, Sequence[float]] | None = None,
    parent: str = "",
    **content: Any,
) -> str:
    """Write one version and return its manifest's URI.

    Args:
        root: Of the store.
        digest: Its name.
        shards: Samples by shard.
        entities: By class index.
        scores: Of the likeliest entity, by shard: its table of entity scores.
        parent: URI.
        content: What else the manifest holds, or holds instead.
    """
    store = open_store(str(root))
    prefix = f"datasets/{digest}"
    entries = [_shard(store, prefix, name, samples) for name, samples in sorted(shards.items())]
    vocabulary = _vocabulary(entities, [one for samples in shards.values() for one in samples])
    store.put(f"{prefix}/vocabulary.parquet", to_parquet(vocabulary))
    tables = {"samples": _samples(shards)}
    if scores is not None:
        tables["entity_scores"] = _scores(store, scores)
    for table in tables.values():
        write_table_version(store, table)
    body = {
        "format": FORMAT,
        "parent": parent,
        "counts": sum_counts(one.counts for one in entries),
        "content_digest": digest_of(entries, vocabulary),
        "totals": {"classes": len(entities)},
        "vocabulary": f"{prefix}/vocabulary.parquet",
        "index": write_index(store, prefix, entries),
        "shards": len(entries),
        "stages": {kind: {"version": 1, "config": {}} for kind in tables},
        "table_digests": {kind: table.digest for kind, table in tables.items()},
        "card": f"{prefix}/card.html",
        **content,
    }
    store.put(f"{prefix}/card.html", b"<p>a card</p>")
    return write_manifest(store, "dataset", digest, body).uri


def some(kept: int, prefix: str = "", **dropped: int) -> list[Sample]:
    """As many samples of each kind, all different."""
    found: list[Sample] = [(f"{prefix}k{number}", "train") for number in range(kept)]
    for cause, count in dropped.items():
        found += [(f"{prefix}{cause}{number}", cause) for number in range(count)]
    return found


def _shard(store: Store, prefix: str, name: str, samples: Sequence[Sample]) -> DatasetShard:
    rows = [
        {"row": row, "uid": one[0], "split": one[1], "cause": one[1], "labels": list(one[2:])}
        for row, one in enumerate(samples)
    ]
    kept = pa.Table.from_pylist([r for r in rows if r["split"] in _SPLITS], schema=KEPT)
    dropped = pa.Table.from_pylist([r for r in rows if r["split"] not in _SPLITS], schema=DROPPED)
    counts = Counter(dropped.column("cause").to_pylist())
    if kept.num_rows:
        counts["kept"] = kept.num_rows
    keys = [f"{prefix}/{kind}/{name}.parquet" for kind in ("kept", "dropped")]
    for key, table in zip(keys, (kept, dropped), strict=True):
        store.put(key, to_parquet(table))
    digests = [content_digest(table) for table in (kept, dropped)]
    return DatasetShard(
        name, len(rows), kept.num_rows, keys[0], digests[0], keys[1], digests[1], "", "", counts
    )


def _vocabulary(entities: Sequence[str], samples: Sequence[Sample]) -> pa.Table:
    images = Counter(label for one in samples if one[1] == "train" for label in one[2:])
    rows = [
        {
            "class_index": place,
            "entity_id": entity,
            "name": entity.title(),
            "description": "",
            "images": images[place],
        }
        for place, entity in enumerate(entities)
    ]
    return from_rows(rows, VOCABULARY)


def _samples(shards: Mapping[str, Sequence[Sample]]) -> TableVersion:
    """Its content is which uids are in it, in order."""
    entries = []
    for name, samples in sorted(shards.items()):
        content = hash_json([one[0] for one in samples])
        entries.append(ShardEntry(name, content, content, "", "", len(samples), 0, {}, {}))
    return TableVersion("samples", 1, {}, {}, tuple(entries))


def _scores(store: Store, scores: Mapping[str, Sequence[float]]) -> TableVersion:
    entries = []
    for name, values in sorted(scores.items()):
        # Each picture has a second candidate, which is none of the likeliest.
        rows = [
            {
                "row": row,
                "entity_id": f"e{rank}",
                "clip_score": value - rank,
                "rank": rank,
                "posterior": 0.5,
                "settled": rank == 0,
            }
            for row, value in enumerate(values)
            for rank in (0, 1)
        ]
        table = from_rows(rows, ENTITY_SCORES)
        key = f"tables/entity_scores/{content_digest(table)}.parquet"
        store.put(key, to_parquet(table))
        digest = content_digest(table)
        entries.append(ShardEntry(name, digest, digest, key, "", len(rows), 0, {}, {}))
    return TableVersion("entity_scores", 1, {}, {}, tuple(entries))
