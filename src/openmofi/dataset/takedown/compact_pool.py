"""Shards of the pool without what was taken down: tar, samples, and all tables of stages."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from openmofi.dataset.takedown.compact_tables import FACTS, Rows, without_rows
from openmofi.dataset.takedown.rewriting import Rewriting
from openmofi.dataset.versions.references import entry_key
from openmofi.errors import ShardError
from openmofi.ingest.sources import without_taken_down
from openmofi.keys import content_digest
from openmofi.progress import bar
from openmofi.records import Status, from_parquet, read_parquet, to_parquet
from openmofi.shards import TarSample, index_tar
from openmofi.storage import Store
from openmofi.tombstones import Tombstones
from openmofi.versions import ShardEntry, read_manifests, read_table_version, write_table_version

_READERS = 16  # tables at once
_COLUMNS = ["uid", "image_id", "url", "status", "key"]
Entries = Mapping[str, Sequence[dict[str, Any]]]

_STATUSES = {str(one) for one in Status}


@dataclass(frozen=True)
class GoneShard:
    """A shard of the pool with samples that were taken down."""

    samples_key: str
    tar_key: str
    gone: Rows  # bool [samples]
    uids: tuple[str, ...]
    keys: tuple[str, ...]  # in the tar


def gone_shards(store: Store, tombstones: Tombstones) -> list[GoneShard]:
    """All shards with samples that were taken down, those blanked before too."""
    entries = [i.key for i in store.list("tables/samples/") if i.key.endswith(".json")]

    def read(key: str) -> GoneShard | None:
        entry = json.loads(store.get(key))
        with store.local_file(entry["table_key"]) as path:
            samples = read_parquet(path, columns=_COLUMNS)
        gone = tombstones.rows(samples)
        if not gone.any():
            return None
        uids, keys = (samples.column(n).filter(pa.array(gone)).to_pylist() for n in ("uid", "key"))
        return GoneShard(entry["table_key"], entry["tar_key"], gone, tuple(uids), tuple(keys))

    with ThreadPoolExecutor(_READERS) as pool:
        found = bar(pool.map(read, entries), label="samples", total=len(entries), unit="shard")
        return [one for one in found if one is not None]


def compact_shard(rewriting: Rewriting, shard: GoneShard, entries: Entries) -> int:
    """Rewrite one shard, its samples first: who reads them knows what else is gone.

    Args:
        rewriting: Of the store.
        shard: What is gone.
        entries: Of all tables made from the pool, by its tar.

    Returns:
        Bytes that were wiped out of the tar.
    """
    made = sorted(entries[shard.tar_key], key=lambda e: e["table_key"] != shard.samples_key)
    for entry in made:
        if rewriting.store.exists(entry["table_key"]):
            _compact_table(rewriting, shard.gone, entry)
    return _compact_tar(rewriting, shard)


def entries_by_tar(store: Store) -> Entries:
    """What every stage has written of each shard of the pool."""
    keys = [info.key for info in store.list("tables/") if info.key.endswith(".json")]
    with ThreadPoolExecutor(_READERS) as pool:
        bodies = pool.map(lambda key: json.loads(store.get(key)), keys)
    found: dict[str, list[dict[str, Any]]] = {}
    for body in bodies:
        found.setdefault(body["tar_key"], []).append(body)
    return found


def compact_facts(rewriting: Rewriting, uids: Collection[str]) -> None:
    """What assembly has drawn together of each sample; it names no tar, but uids."""
    listed = pa.array(sorted(uids), pa.string())
    for info in [i for i in rewriting.store.list(f"tables/{FACTS}/") if i.key.endswith(".json")]:
        entry = json.loads(rewriting.store.get(info.key))
        table = from_parquet(rewriting.store.get(entry["table_key"]), ["uid"])
        gone = np.asarray(compute.is_in(table.column("uid"), value_set=listed))
        if gone.any():
            _compact_table(rewriting, gone, entry)


def _compact_table(rewriting: Rewriting, gone: Rows, entry: dict[str, Any]) -> None:
    """Table first, then the entry that names its digest."""
    key: str = entry["table_key"]
    rewriting.tables.add(key)
    kind = key.split("/")[1]
    old = from_parquet(rewriting.store.get(key))
    table = without_rows(kind, old, gone).replace_schema_metadata(old.schema.metadata)
    rewriting.put(key, to_parquet(table))
    changed = {"content_digest": content_digest(table), "rows": table.num_rows}
    if "status" in table.column_names and _STATUSES.issuperset(entry["counts"]):
        changed["counts"] = dict(Counter(table.column("status").to_pylist()))
    body = json.dumps({**entry, **changed}, sort_keys=True)
    rewriting.put(entry_key(key), body.encode())


def _compact_tar(rewriting: Rewriting, shard: GoneShard) -> int:
    """Zeros for the bytes of the samples' files, at their length: offsets stay what they are."""
    store = rewriting.store
    if not store.exists(shard.tar_key):
        return 0
    with tempfile.TemporaryDirectory(prefix="openmofi-compact-") as folder:
        path = Path(folder, "pool.tar")
        with store.local_file(shard.tar_key) as whole:
            shutil.copyfile(whole, path)
        samples = index_tar(path)
        if len(samples) != len(shard.gone):
            raise ShardError(
                f"{store.uri}/{shard.tar_key} has {len(samples)} samples, and "
                f"{shard.samples_key} {len(shard.gone)}; nothing of it was changed"
            )
        wiped = _wipe(path, [samples[row] for row in np.flatnonzero(shard.gone)])
        if wiped:
            rewriting.put_file(shard.tar_key, path)
    return wiped


def _wipe(path: Path, samples: Sequence[TarSample]) -> int:
    wiped = 0
    with path.open("r+b") as file:
        for member in (one for sample in samples for one in sample.members.values()):
            file.seek(member.offset)
            if any(file.read(member.length)):
                file.seek(member.offset)
                file.write(bytes(member.length))
                wiped += member.length
    return wiped


def compact_listings(rewriting: Rewriting, tombstones: Tombstones) -> None:
    """Listings of sources, which hold texts and URLs of folders and tables."""
    for info in list(rewriting.store.list("sources/")):
        table = from_parquet(rewriting.store.get(info.key))
        rows = table.to_pylist()
        left = [without_taken_down(row, tombstones) for row in rows]
        if left != rows:
            rewriting.put(info.key, to_parquet(pa.Table.from_pylist(left, schema=table.schema)))


def write_new_versions(store: Store, table_keys: Collection[str]) -> None:
    """Publish some tables as they are now, in every version that they are in.

    Older manifests go on naming the digests that the tables had: a record of the compaction tells
    what became of them.
    """
    changed = {key: json.loads(store.get(entry_key(key))) for key in table_keys}
    for kind in sorted({key.split("/")[1] for key in changed}):
        for manifest in list(read_manifests(store, kind)):
            _, version = read_table_version(manifest.uri, kind)
            now = replace(version, shards=tuple(_now(e, changed) for e in version.shards))
            if now.digest != version.digest:
                write_table_version(store, now)


def _now(entry: ShardEntry, changed: Mapping[str, Mapping[str, Any]]) -> ShardEntry:
    """The entry, under the name that the version gives its shard."""
    body = changed.get(entry.table_key)
    if body is None:
        return entry
    return replace(entry, **{name: body[name] for name in ("content_digest", "rows", "counts")})
