"""A data set whose labels are dealt out anew: the same pictures, the same labels, no sense."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from openmofi.dataset.versions.published import version_key
from openmofi.dataset.versions.version import (
    KIND,
    DatasetShard,
    digest_of,
    read_dataset,
    write_index,
    write_version,
)
from openmofi.keys import content_digest, hash_json
from openmofi.progress import say
from openmofi.records import to_parquet
from openmofi.storage import Store
from openmofi.versions import Manifest

_VERSION = 1


def permute_labels(dataset: str, seed: int = 0) -> str:
    """Publish a version of a data set in which each picture has the labels of another.

    Labels are dealt within each split, so that each class keeps its number of pictures.

    Args:
        dataset: Manifest URI of kind ``dataset``.
        seed: Of the permutation.

    Returns:
        Manifest URI of kind ``dataset``; published once.
    """
    source = read_dataset(dataset)
    store = source.store
    digest = hash_json(["permuted_labels", _VERSION, source.manifest.digest, seed])
    if store.exists(version_key(digest)):
        say(f"permuted labels: reused data set {digest}")
        return Manifest(store, KIND, digest).uri
    kept = [source.kept(shard) for shard in source.shards]
    shards = _write(store, digest, source.shards, dealt_out(kept, seed))
    content: dict[str, Any] = {
        **source.content,
        "permuted_labels_of": source.uri,
        "index": write_index(store, f"datasets/{digest}", shards),
        "content_digest": digest_of(shards, source.vocabulary()),
    }
    for name in ("kind", "digest", "schema_version", "checksum"):
        del content[name]
    return write_version(store, digest, content)


def dealt_out(tables: list[pa.Table], seed: int) -> list[pa.Table]:
    """Tables of kept samples with their ``labels`` permuted within each split, over all tables."""
    whole = pa.concat_tables(tables)
    splits = np.array(whole.column("split").to_pylist(), dtype=object)
    taken = np.arange(whole.num_rows)
    rng = np.random.default_rng(seed)
    for split in sorted(set(splits)):
        rows = np.flatnonzero(splits == split)
        taken[rows] = rng.permutation(rows)
    labels = whole.column("labels").combine_chunks().take(pa.array(taken))
    place = whole.schema.get_field_index("labels")
    permuted = whole.set_column(place, whole.schema.field("labels"), labels)
    starts = np.cumsum([0, *(table.num_rows for table in tables)])
    return [
        permuted.slice(start, table.num_rows)
        for start, table in zip(starts[:-1].tolist(), tables, strict=True)
    ]


def _write(
    store: Store, digest: str, shards: Sequence[DatasetShard], tables: list[pa.Table]
) -> list[DatasetShard]:
    written = []
    for shard, table in zip(shards, tables, strict=True):
        key = f"datasets/{digest}/kept/{shard.shard}.parquet"
        store.put(key, to_parquet(table))
        written.append(replace(shard, kept_key=key, kept_digest=content_digest(table)))
    return written
