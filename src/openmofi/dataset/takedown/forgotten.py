"""Which samples of a version have been taken down since it was assembled."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from openmofi.dataset.versions.published import version_key
from openmofi.dataset.versions.version import Dataset, DatasetShard, read_dataset
from openmofi.records import from_parquet
from openmofi.tombstones import Tombstones, read_tombstones
from openmofi.versions import Manifest

_READERS = 16  # requests at once


def forgotten_uids(dataset: Dataset, tombstones: Tombstones) -> list[str]:
    """Uids of kept samples that were taken down, sorted.

    Of lists that name all samples by uid, the version's own tables tell them. A list written by
    hand may name an image or a URL: with one, the pool's samples are read too.
    """
    if not tombstones:
        return []

    def of(shard: DatasetShard) -> list[str]:
        kept = dataset.kept(shard)
        rows = kept
        if not tombstones.settled:
            rows = from_parquet(dataset.store.get(shard.samples_key)).take(kept.column("row"))
        found: list[str] = kept.column("uid").filter(pa.array(tombstones.rows(rows))).to_pylist()
        return found

    with ThreadPoolExecutor(_READERS) as pool:
        return sorted({uid for found in pool.map(of, dataset.shards) for uid in found})


def without_forgotten(manifest: Manifest, tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Index tables of training shards without the samples that were taken down.

    Args:
        manifest: Of kind ``training_shards``.
        tables: With a column ``uid``.
    """
    tombstones = read_tombstones(manifest.store)
    if not tombstones:
        return list(tables)
    if not tombstones.settled:
        uids = forgotten_uids(dataset_of(manifest), tombstones)
        tombstones = Tombstones(tombstones.ids.union(uids))
    return [tombstones.drop(table) for table in tables]


def dataset_of(manifest: Manifest) -> Dataset:
    """The version that training shards were built from."""
    # By digest: the root may have been copied since, and dataset_uri names the place of then.
    digest = manifest.content["dataset"]
    return read_dataset(f"{manifest.store.uri}/{version_key(digest)}")
