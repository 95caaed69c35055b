"""Whether what a version was made from is there: tables, pool tars, knowledge base."""

import json
import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from openmofi.dataset.assembly.inputs import ROW_ALIGNED
from openmofi.dataset.versions.findings import Findings
from openmofi.dataset.versions.references import entry_key, named_tables
from openmofi.dataset.versions.version import Dataset, DatasetShard
from openmofi.errors import InputError, ShardError
from openmofi.images import image_id
from openmofi.keys import content_digest, hash_bytes, hash_json
from openmofi.progress import bar
from openmofi.records import from_parquet
from openmofi.shards import TarReader, index_tar
from openmofi.storage import open_store
from openmofi.versions import (
    Manifest,
    ShardEntry,
    TableVersion,
    index_key,
    manifest_key,
    read_manifest,
    read_table_version,
    root_of,
    sum_counts,
)

_SAMPLES = "samples"


def check_tables(
    dataset: Dataset,
    shards: Sequence[DatasetShard],
    findings: Findings,
    pool: ThreadPoolExecutor,
    *,
    deep: bool,
) -> None:
    """Every table that was given to assembly, and the tars behind them.

    Args:
        dataset: The version.
        shards: Of its index.
        findings: Where problems go.
        pool: For objects side by side.
        deep: Read the tables, entries and pictures, too.
    """
    for kind, digest in named_tables(dataset).items():
        version = _table_version(dataset, kind, digest, findings)
        if version is None or not shards:
            continue
        _check_entries(dataset, kind, version, shards, findings)
        if deep:
            index = index_key(kind, version.digest)
            check = partial(_check_content, dataset, index, findings)
            checked = pool.map(check, version.shards)
            list(bar(checked, label=kind, total=len(version.shards), unit="shard"))
    for shard in bar(shards, label="pool", total=len(shards), unit="shard"):
        if findings.is_there(shard.tar_key) and deep and findings.is_there(shard.samples_key):
            _check_pictures(dataset, shard, findings)


def _table_version(
    dataset: Dataset, kind: str, digest: str, findings: Findings
) -> TableVersion | None:
    """A table's version if its manifest and its index are what the data set names."""
    key, index = manifest_key(kind, digest), index_key(kind, digest)
    uri = f"{dataset.store.uri}/{key}"
    manifest = findings.read(key, lambda: read_manifest(uri, kind))
    if not findings.is_there(index) or manifest is None:
        return None
    named = tuple(manifest.content.get(name) for name in ("kind", "digest", "index"))
    if named != (kind, digest, index):
        findings.add(key, "has changed: it names another table", _hash(dataset, key))
        return None
    found = findings.read(index, lambda: read_table_version(uri, kind))
    if found is None:
        return None
    version = found[1]
    if version.digest != digest:
        what = f"has changed: digest {version.digest}, the version names {digest}"
        findings.add(index, what, _hash(dataset, index))
        return None
    _check_summary(dataset, manifest, version, findings)
    return version


def _check_summary(
    dataset: Dataset, manifest: Manifest, version: TableVersion, findings: Findings
) -> None:
    """What a table's manifest and the data set's say of the whole, against its shards."""
    kind = version.stage
    key, index = manifest_key(kind, manifest.digest), index_key(kind, manifest.digest)
    summed: dict[str, Any] = {
        "counts": version.counts,
        "totals": version.totals,
        "rows": sum(entry.rows for entry in version.shards),
        "bytes": sum(entry.bytes for entry in version.shards),
        "shards": len(version.shards),
    }
    # Of facts the data set says nothing: they follow from the rest.
    if stage := dataset.content["stages"].get(kind):
        summed |= {"stage_version": stage["version"], "config": stage["config"]}
        summed["digests"] = dataset.content["digests"][kind]
        if (stage["counts"], stage["totals"]) != (version.counts, version.totals):
            findings.add_count(index, f"counts {version.counts}, the version {stage['counts']}")
    for name, value in summed.items():
        if manifest.content.get(name) != value:
            findings.add(key, f"has changed: {name} differ", _hash(dataset, key))


def _check_entries(
    dataset: Dataset,
    kind: str,
    version: TableVersion,
    shards: Sequence[DatasetShard],
    findings: Findings,
) -> None:
    """The same shards, objects that are there, and counts that add up to the samples seen."""
    index = index_key(kind, version.digest)
    entries = {entry.shard: entry for entry in version.shards}
    if entries.keys() != {shard.shard for shard in shards}:
        findings.add(str(dataset.content["index"]), f"has other shards than {index}")
        return
    for shard in shards:
        entry = entries[shard.shard]
        for key in (entry.table_key, entry_key(entry.table_key)):
            findings.is_there(key, index)
        seen = sum_counts([entry.counts])
        if sum(seen.values()) != shard.rows:
            what = f"shard '{shard.shard}': {kind} counts {seen}, and {shard.rows} samples"
            findings.add_count(index, what)
        is_aligned = kind == _SAMPLES or kind in ROW_ALIGNED
        if is_aligned and entry.rows != shard.rows:
            what = f"shard '{shard.shard}': {entry.rows} rows, and {shard.rows} samples"
            findings.add_count(index, what)
        if kind == _SAMPLES and entry.table_key != shard.samples_key:
            findings.add(index, f"shard '{shard.shard}': its table is not {shard.samples_key}")
        if entry.tar_key not in ("", shard.tar_key):
            findings.add(index, f"shard '{shard.shard}': its tar is not {shard.tar_key}")


def _check_content(dataset: Dataset, index: str, findings: Findings, entry: ShardEntry) -> None:
    """A shard's table against its digest, and the entry beside it against the index."""
    _read_table(dataset, index, findings, entry)
    key = entry_key(entry.table_key)
    if not findings.is_there(key, index):
        return
    body = findings.read(key, lambda: json.loads(dataset.store.get(key)))
    if body is None:
        return
    # The same content under another shard's name is not made twice; seconds are nobody's result.
    said = {**body, "shard": entry.shard} if isinstance(body, dict) else {}
    said.pop("seconds", None)
    if said != json.loads(json.dumps(asdict(entry))):
        findings.add(key, f"has changed: it is not what {index} says", _hash(dataset, key))


def _read_table(dataset: Dataset, index: str, findings: Findings, entry: ShardEntry) -> None:
    key = entry.table_key
    if not findings.is_there(key, index):
        return
    data = dataset.store.get(key)
    table = findings.read(key, lambda: from_parquet(data))
    if table is None:
        return
    found = content_digest(table)
    if found != entry.content_digest or table.num_rows != entry.rows:
        what = f"has changed: digest {found}, the version names {entry.content_digest}"
        findings.add(key, what, found, hash_bytes(data))


def _check_pictures(dataset: Dataset, shard: DatasetShard, findings: Findings) -> None:
    """Every picture of a pool tar against its image id, every text against its alt text."""
    key = shard.samples_key
    samples = findings.read(key, lambda: from_parquet(dataset.store.get(key)))
    if samples is None:
        return
    with dataset.store.local_file(shard.tar_key) as path:
        try:
            texts = {one.key: one.members.get("txt") for one in index_tar(path)}
            with TarReader(path) as tar:
                wrong = [row["uid"] for row in samples.to_pylist() if not _is_same(tar, row, texts)]
        except ShardError as error:
            findings.add(shard.tar_key, f"cannot be read: {error}")
            return
    if wrong:
        what = f"has changed: {len(wrong)} samples are not what was ingested, the first {wrong[0]}"
        findings.add(shard.tar_key, what)


def _is_same(tar: TarReader, row: dict[str, Any], texts: dict[str, Any]) -> bool:
    """A row without an image id was blanked, or had no picture."""
    if row["image_id"] is None:
        return True
    if image_id(tar.read(row["offset"], row["length"])) != row["image_id"]:
        return False
    text = texts.get(row["key"])
    return text is not None and tar.read(text.offset, text.length) == row["alt_text"].encode()


def knowledge_base_uri(dataset: Dataset) -> str:
    """The knowledge base's manifest, in the version's own store if it is there; may be empty."""
    digest, uri = dataset.content["knowledge_base"], str(dataset.content["knowledge_base_uri"])
    key = manifest_key("knowledge_base", digest)
    if digest and (not uri or dataset.store.exists(key)):
        return f"{dataset.store.uri}/{key}"
    return uri


def check_knowledge_base(dataset: Dataset, findings: Findings, *, deep: bool) -> None:
    """Its manifest, and with ``deep`` its files by the digest of them all."""
    uri = knowledge_base_uri(dataset)
    if not uri:
        return
    store = open_store(root_of(uri))
    key = uri.removeprefix(f"{store.uri}/")
    if not store.exists(key):
        findings.add(key, "is missing")
        return
    try:
        manifest = read_manifest(uri, "knowledge_base")
    except InputError as error:
        findings.add(key, f"cannot be read: {error}")
        return
    prefix = f"{manifest.content['prefix']}/"
    if not deep:
        if next(store.list(prefix), None) is None:
            findings.add(prefix, "is missing")
        return
    names = [posixpath.relpath(info.key, prefix) for info in store.list(prefix)]
    # As `keys.hash_folder` orders them, by the parts of a path.
    ordered = sorted(names, key=PurePosixPath)
    found = hash_json([[name, hash_bytes(store.get(prefix + name))] for name in ordered])
    said = manifest.content["content_digest"]
    if found != said:
        findings.add(prefix, f"has changed: digest {found}, its manifest names {said}")


def _hash(dataset: Dataset, key: str) -> str:
    return hash_bytes(dataset.store.get(key))
