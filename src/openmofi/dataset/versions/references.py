"""What versions need: every object that follows, name by name, from a manifest."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from openmofi.dataset.versions.published import digest_in, version_key
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.ingest.stage import IngestPairs
from openmofi.keys import recipe_key
from openmofi.storage import Store
from openmofi.versions import (
    TableVersion,
    index_key,
    manifest_key,
    read_manifests,
    read_table_version,
)


@dataclass
class Named:
    """Keys, and folders (with a slash at their end) whose every object counts."""

    keys: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    pools: list[TableVersion] = field(default_factory=list)  # of `samples`

    def __contains__(self, key: str) -> bool:
        return key in self.keys or folder_of(key) in self.folders


def folder_of(key: str) -> str:
    """The first two parts of a key: ``datasets/<digest>/``."""
    return "/".join(key.split("/", 2)[:2]) + "/"


def entry_key(table_key: str) -> str:
    """Where the entry lies that says that a shard's table is whole."""
    return table_key.removesuffix(".parquet") + ".json"


def named_tables(dataset: Dataset) -> dict[str, str]:
    """Digests by kind: the tables that assembly was given, and the facts that it made of them."""
    facts = str(dataset.content["facts"])
    return {**dataset.content["table_digests"], facts.split("/")[1]: digest_in(facts)}


def named_by_versions(
    store: Store, datasets: Iterable[str], tables: Iterable[tuple[str, str]]
) -> Named:
    """All that versions of the data set, and tables of their own, need.

    What they grew from is not needed: a vocabulary holds all of its parent's.

    Args:
        store: Where they lie.
        datasets: Digests.
        tables: Kind and digest of each table that stays by itself.

    Raises:
        StorageError: Something on the way is missing, so nobody knows what else is needed.
    """
    named, wanted = Named(), set(tables)
    kept = set(datasets)
    for digest in kept:
        dataset = read_dataset(f"{store.uri}/{version_key(digest)}")
        named.keys.add(version_key(digest))
        named.folders.add(f"datasets/{digest}/")
        wanted |= set(named_tables(dataset).items())
    for kind, digest in sorted(wanted):
        _add_table(named, store, kind, digest)
    for digest, content in training_shards(store).items():
        if content["dataset"] in kept:
            named.keys.add(manifest_key("training_shards", digest))
            named.folders.add(f"training_shards/{digest}/")
    for key, content in _source_plans(store):
        if _was_ingested(content, named.pools):
            named.keys |= {key, *(one["listing"] for one in content["shards"] if one["listing"])}
    return named


def training_shards(store: Store) -> dict[str, Mapping[str, Any]]:
    """Contents of all manifests of training shards, by digest."""
    return {one.digest: one.content for one in read_manifests(store, "training_shards")}


def _add_table(named: Named, store: Store, kind: str, digest: str) -> None:
    key = manifest_key(kind, digest)
    _, version = read_table_version(f"{store.uri}/{key}", kind)
    named.keys |= {key, index_key(kind, digest)}
    for entry in version.shards:
        named.keys |= {entry.table_key, entry_key(entry.table_key), entry.tar_key}
    if kind == IngestPairs.name:
        named.pools.append(version)


def _source_plans(store: Store) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for plan in read_manifests(store, "source_plan"):
        yield manifest_key(plan.kind, plan.digest), plan.content


def _was_ingested(plan: Mapping[str, Any], pools: Iterable[TableVersion]) -> bool:
    """Whether a shard of some pool came of it: the keys of its shards under that pool's recipe."""
    fingerprints = [shard["fingerprint"] for shard in plan["shards"]]
    for pool in pools:
        known = {entry.recipe_key for entry in pool.shards}
        recipe = (pool.stage, pool.stage_version, pool.config, pool.digests)
        if any(recipe_key(*recipe, [one]) in known for one in fingerprints):
            return True
    return False
