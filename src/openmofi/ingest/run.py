"""The step's two functions: plan a source into groups of shards, and ingest one group."""

from dataclasses import asdict

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.ingest.config import IngestConfig
from openmofi.ingest.groups import count_groups
from openmofi.ingest.sources import SourceShard, read_source
from openmofi.ingest.stage import IngestPairs
from openmofi.keys import hash_json
from openmofi.progress import say
from openmofi.stage import plan, run_stage
from openmofi.storage import Store, open_store
from openmofi.versions import read_manifest, write_manifest
from openmofi.work import Work

_KIND = "source_plan"


def plan_groups(
    root: str, *, source: str, groups: int = 1, config: dict[str, object] | None = None
) -> list[str]:
    """Find the source's shards and share them out, before any sample is touched.

    Args:
        root: Where everything is kept: a folder or ``s3://bucket/prefix``.
        source: See `openmofi.ingest.sources.read_source`.
        groups: How many parts may run at once; at most one a shard is made. 0: by their number,
            see `openmofi.ingest.groups.count_groups`.
        config: `IngestConfig`.

    Returns:
        One ``<manifest URI>#<number>`` a group, at least one.

    Raises:
        InputError: The source is missing, empty or lacks a column; or the config is wrong.
        StorageError: The root can't be used.
    """
    parsed = parse_config(IngestConfig, config, where="ingest")
    if int(groups) < 0:
        raise InputError(f"ingest: 'groups' must be at least 1; 0: as many as suit; got {groups}")
    store = open_store(root)
    store.check()
    shards = read_source(store, source, parsed)
    count = count_groups(int(groups), len(shards), store.uri)
    content = {
        "source": source,
        "groups": count,
        "config": parsed.model_dump(),
        "shards": [asdict(shard) for shard in shards],
    }
    manifest = write_manifest(store, _KIND, hash_json(content), content)
    size = sum(shard.bytes for shard in shards)
    say(f"source {source}: {len(shards)} shards, {size / 1e6:.1f} MB, {count} groups")
    return [f"{manifest.uri}#{number}" for number in range(count)]


def ingest_pairs(group: str, *, workers: int = 1) -> str:
    """Copy one group of source shards into the pool and record every sample.

    Args:
        group: An item of what `plan_groups` returned.
        workers: Processes.

    Returns:
        URI of the ``samples`` manifest.

    Raises:
        InputError: ``group`` names no group.
        ShardError: Some shards failed, by name; the others are done.
    """
    store, stage, work = _read_group(group)
    return run_stage(stage, store, work, workers=workers)


def describe_group(group: str, *, price_per_hour: float | None = None) -> str:
    """One line: what `ingest_pairs` would do, without doing it."""
    store, stage, work = _read_group(group)
    return plan(stage, store, work).describe("ingest_pairs", price_per_hour)


def _read_group(group: str) -> tuple[Store, IngestPairs, list[Work]]:
    uri, _, number = group.rpartition("#")
    if not uri or not number.isdigit():
        raise InputError(f"{group!r} is no group; expected MANIFEST_URI#NUMBER, as planned")
    manifest = read_manifest(uri, _KIND)
    groups = manifest.content["groups"]
    if int(number) >= groups:
        raise InputError(f"{group!r}: the plan has groups 0 to {groups - 1}")
    config = parse_config(IngestConfig, manifest.content["config"], where=uri)
    shards = [SourceShard(**shard) for shard in manifest.content["shards"]]
    work = [
        Work(shard.name, upstream=(shard.fingerprint,), source=shard, bytes=shard.bytes)
        for shard in shards[int(number) :: groups]
    ]
    return manifest.store, IngestPairs(config.checks()), work
