"""What a source holds, cut into shards with fingerprints. Nothing is decoded here.

A tar is a shard of its own name. A folder with sidecar texts and the rows of a table are cut into
runs of ``samples_per_shard``, named ``00000``, ``00001``, …; each run is written down as a listing
(Parquet), so that every pod reads the same one.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from openmofi.errors import InputError, ShardError
from openmofi.images import sample_uid
from openmofi.ingest.config import IngestConfig
from openmofi.ingest.location import Location, locate
from openmofi.ingest.tables import TABLE_EXTENSIONS, read_table
from openmofi.ingest.texts import clean, read_texts
from openmofi.keys import hash_json
from openmofi.progress import bar
from openmofi.records import from_parquet, to_parquet
from openmofi.shards import index_tar
from openmofi.storage import ObjectInfo, Store
from openmofi.tombstones import Tombstones, read_tombstones

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")

LISTING = pa.schema(
    [
        pa.field("image", pa.string()),  # relative to the location; null: the row names no file
        pa.field("hash", pa.string()),  # of the image's bytes; null: the file was not there
        pa.field("alt_text", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("no_ai", pa.bool_()),
    ]
)
_THREADS = 16


@dataclass(frozen=True)
class SourceShard:
    """A part of a source that becomes one shard.

    Args:
        name: Stable when the source grows.
        fingerprint: Hash of all content that ingest reads; of a tar's bytes, or of the listing.
        location: URI of the base that ``tar`` and the listing's images are relative to.
        bytes: Size of the tar, or of the listed images as far as they were found.
        tar: Name of the tar, or "".
        listing: Store key of the listing, or "".
    """

    name: str
    fingerprint: str
    location: str
    bytes: int
    tar: str = ""
    listing: str = ""


def read_source(store: Store, source: str, config: IngestConfig) -> list[SourceShard]:
    """Find the shards of a source.

    Args:
        store: Where listings and known fingerprints are kept.
        source: A folder of tars, a tar, a folder of images with sidecar ``.txt``, or a table; a
            path, ``file:///…`` or ``s3://…``.
        config: Columns and size of a run.

    Raises:
        InputError: The source is missing, holds no sample, or is a table that cannot be used.
    """
    location, name = locate(source)
    if name.lower().endswith(TABLE_EXTENSIONS):
        return _table_shards(store, location, name, source, config)
    if name:
        if not name.lower().endswith(".tar"):
            raise InputError(f"source {source} is no .tar and no {', '.join(TABLE_EXTENSIONS)}")
        return _tar_shards(store, location, [ObjectInfo(name, 0)], source)
    files = location.list()
    tars = [info for info in files if info.key.lower().endswith(".tar")]
    if tars:
        return _tar_shards(store, location, tars, source)
    return _folder_shards(store, location, files, source, config)


def _tar_shards(
    store: Store, location: Location, tars: Sequence[ObjectInfo], source: str
) -> list[SourceShard]:
    if not any(_may_hold_samples(location, info) for info in tars):
        raise InputError(f"source {source} holds no sample: its tars are empty")
    hashes = _hash_files(store, location, tars)
    shards: dict[str, SourceShard] = {}
    for info in tars:
        name = info.key[: -len(".tar")].replace("/", "-")
        if name in shards:
            raise InputError(f"source {source} holds two tars that would both be shard '{name}'")
        fingerprint, size = hashes[info.key]
        shards[name] = SourceShard(name, fingerprint, location.uri, size, tar=info.key)
    return [shards[name] for name in sorted(shards)]


def _may_hold_samples(location: Location, info: ObjectInfo) -> bool:
    try:
        with location.local_file(info.key) as path:
            return path.stat().st_size > 0 and bool(index_tar(path))
    except ShardError:
        return True  # a broken tar fails by name when it is ingested, and the others are done


def _folder_shards(
    store: Store,
    location: Location,
    files: Sequence[ObjectInfo],
    source: str,
    config: IngestConfig,
) -> list[SourceShard]:
    names = {info.key for info in files}
    images = [info for info in files if _extension(info.key) in IMAGE_EXTENSIONS]
    if not images:
        tables = [n for n in sorted(names) if n.lower().endswith(TABLE_EXTENSIONS)]
        hint = f"; to read the table, give {source.rstrip('/')}/{tables[0]}" if tables else ""
        raise InputError(f"source {source} holds no sample: no .tar and no image is in it{hint}")

    def texts(info: ObjectInfo) -> dict[str, Any]:
        stem = str(PurePosixPath(info.key).with_suffix(""))
        sidecars = (f"{stem}.txt", f"{stem}.json")
        text, metadata = (location.get(n) if n in names else None for n in sidecars)
        return asdict(read_texts(text, metadata))

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(texts, images))
    hashes = _hash_files(store, location, images)
    rows = [
        {"image": info.key, "hash": hashes[info.key][0], **row}
        for info, row in zip(images, found, strict=True)
    ]
    sizes = {name: size for name, (_, size) in hashes.items()}
    return _write_listings(store, location, rows, sizes, config.samples_per_shard)


def _table_shards(
    store: Store, location: Location, name: str, source: str, config: IngestConfig
) -> list[SourceShard]:
    with location.local_file(name) as path:
        # The table's own order is kept: rows appended to it change the last shard only.
        table = read_table(path, config, name=source)
    if not table:
        raise InputError(f"source {source} holds no sample: the table has no row")
    images = sorted({row["image"] for row in table if row["image"]})
    with ThreadPoolExecutor(_THREADS) as pool:
        present = dict(zip(images, pool.map(location.exists, images), strict=True))
    infos = [ObjectInfo(image, 0) for image in images if present[image]]
    hashes = _hash_files(store, location, infos)
    rows = [
        {
            "image": row["image"],
            "hash": hashes.get(row["image"] or "", (None, 0))[0],
            "alt_text": clean(row["text"] or ""),
            **{field: clean(row[field] or "") or None for field in ("title", "url", "licence")},
            "no_ai": row["no_ai"],
        }
        for row in table
    ]
    sizes = {name: size for name, (_, size) in hashes.items()}
    return _write_listings(store, location, rows, sizes, config.samples_per_shard)


def _write_listings(
    store: Store,
    location: Location,
    rows: Sequence[Mapping[str, Any]],
    sizes: Mapping[str, int],
    samples_per_shard: int,
) -> list[SourceShard]:
    shards, tombstones = [], read_tombstones(store)
    for number, start in enumerate(range(0, len(rows), samples_per_shard)):
        part = [dict(row) for row in rows[start : start + samples_per_shard]]
        fingerprint = hash_json([[row[name] for name in LISTING.names] for row in part])
        key = f"sources/{fingerprint}.parquet"
        listed = [without_taken_down(row, tombstones) for row in part]
        store.put(key, to_parquet(pa.Table.from_pylist(listed, schema=LISTING)))
        size = sum(sizes.get(row["image"] or "", 0) for row in part)
        shards.append(SourceShard(f"{number:05d}", fingerprint, location.uri, size, listing=key))
    return shards


def without_taken_down(row: Mapping[str, Any], tombstones: Tombstones) -> dict[str, Any]:
    """A row of a listing; of a sample that was taken down, the image's hash alone is left."""
    uid = sample_uid(row["hash"], row["alt_text"], row["title"])
    if not tombstones.names(uid, row["hash"], row["url"]):
        return dict(row)
    return {**dict.fromkeys(LISTING.names), "hash": row["hash"], "alt_text": ""}


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower().lstrip(".")


def _hash_files(
    store: Store, location: Location, infos: Iterable[ObjectInfo]
) -> dict[str, tuple[str, int]]:
    """Content hash and size by name. Files whose size and tag are unchanged aren't read again."""
    infos = list(infos)
    key = f"fingerprints/{hash_json(location.uri)}.parquet"
    known: dict[tuple[str, int, str], str] = {}
    if store.exists(key):
        for row in from_parquet(store.get(key)).to_pylist():
            known[row["name"], row["size"], row["tag"]] = row["hash"]
    found = {i.key: (known[_version(i)], i.size) for i in infos if i.tag and _version(i) in known}
    todo = [i for i in infos if i.key not in found]
    with ThreadPoolExecutor(_THREADS) as pool:
        hashed = pool.map(lambda info: location.hash(info.key), todo)
        fresh = bar(hashed, label="fingerprints", total=len(todo), unit="file")
        found |= {info.key: pair for info, pair in zip(todo, fresh, strict=True)}
    if any(info.tag for info in todo):
        rows = [
            {"name": i.key, "size": i.size, "tag": i.tag, "hash": found[i.key][0]}
            for i in infos
            if i.tag
        ]
        store.put(key, to_parquet(pa.Table.from_pylist(rows)))
    return found


def _version(info: ObjectInfo) -> tuple[str, int, str]:
    return info.key, info.size, info.tag
