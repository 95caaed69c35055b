"""What still holds samples of the pool: versions, training shards, models."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from openmofi.dataset.versions.version import FORMAT, Dataset
from openmofi.records import from_parquet
from openmofi.storage import Store
from openmofi.versions import Manifest, read_manifests


@dataclass(frozen=True)
class Holders:
    """URIs of manifests. A model is one that was trained on shards which held a sample."""

    versions: tuple[str, ...]
    training_shards: tuple[str, ...]
    models: tuple[str, ...]

    def describe(self) -> str:
        """``2 versions, 1 training set and 1 model``."""
        parts = (
            (self.versions, "version"),
            (self.training_shards, "training set"),
            (self.models, "model"),
        )
        first, second, third = (f"{len(u)} {name}{'s' * (len(u) != 1)}" for u, name in parts)
        return f"{first}, {second} and {third}"


def find_holders(store: Store, uids: Collection[str], samples_keys: Collection[str]) -> Holders:
    """Look through all versions of a store.

    Args:
        store: The pool's.
        uids: Of the samples.
        samples_keys: Of the pool's tables that they are in.
    """
    wanted = pa.array(sorted(uids), pa.string())
    versions = [one for one in _versions(store) if _keeps(one, wanted, samples_keys)]
    digests = {one.manifest.digest for one in versions}
    training, held_by_training = [], set()
    for manifest in read_manifests(store, "training_shards"):
        removed = {uid for gone in manifest.content.get("removed", {}).values() for uid in gone}
        holds = manifest.content["dataset"] in digests and _indexed(manifest, wanted)
        if holds:
            training.append(manifest.uri)
        if holds or not removed.isdisjoint(uids):
            held_by_training.add(manifest.digest)
    models = [
        manifest.uri
        for manifest in read_manifests(store, "model")
        if manifest.content.get("origin", {}).get("training_shards") in held_by_training
    ]
    return Holders(tuple(one.uri for one in versions), tuple(training), tuple(models))


def _versions(store: Store) -> Iterator[Dataset]:
    for manifest in read_manifests(store, "dataset"):
        if manifest.content.get("format") == FORMAT:
            yield Dataset(manifest)


def _keeps(dataset: Dataset, wanted: pa.Array, samples_keys: Collection[str]) -> bool:
    return any(
        compute.any(compute.is_in(dataset.kept(shard).column("uid"), value_set=wanted)).as_py()
        for shard in dataset.shards
        if shard.samples_key in samples_keys
    )


def _indexed(manifest: Manifest, wanted: pa.Array) -> bool:
    tables = (
        from_parquet(manifest.store.get(entry["index_key"]))
        for entries in manifest.content["splits"].values()
        for entry in entries
    )
    return any(
        compute.any(compute.is_in(table.column("uid"), value_set=wanted)).as_py()
        for table in tables
    )
