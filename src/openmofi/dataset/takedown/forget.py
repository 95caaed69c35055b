"""``openmofi dataset forget``: samples that nobody may read any more.

What is asked for is looked up in the whole pool, and written down as uids, image ids and hashes of
URLs: a list of what was taken down must not keep it. All readers honour the list at once, the next
assembly drops the samples, and a compaction removes their bytes.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from openmofi.dataset.takedown.holders import Holders, find_holders
from openmofi.errors import InputError
from openmofi.ingest.texts import clean
from openmofi.keys import hash_file
from openmofi.progress import bar
from openmofi.records import read_parquet
from openmofi.storage import Store, open_store
from openmofi.tombstones import (
    Tombstones,
    read_tombstones,
    url_hash,
    url_hashes,
    write_tombstones,
)

_READERS = 16  # tables at once
_COLUMNS = ["uid", "image_id", "url"]
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Forgotten:
    """What came of a list.

    Args:
        listed: Different ids, URLs and images asked for.
        unknown: Of them, those that no sample of the pool has.
        samples: Samples that they name.
        shards: Tables of samples that these are in.
        copies: Other samples with the same pictures, byte for byte, which are not taken down.
        tombstones: Digest of the list written; empty: all was taken down before.
        holders: What holds the samples.
    """

    listed: int
    unknown: int
    samples: int
    shards: int
    copies: int
    tombstones: str
    holders: Holders


@dataclass(frozen=True)
class _Wanted:
    """What is asked for, by the names that tombstones give it."""

    ids: Mapping[str, str]
    urls: Mapping[str, str]  # by hash

    @classmethod
    def of(cls, ids: Sequence[str], urls: Sequence[str], images: Sequence[str]) -> "_Wanted":
        named = {one.lower(): one for one in (*ids, *images)}
        for name, text in named.items():
            if not _ID.fullmatch(name):
                raise InputError(
                    f"'{text}' is no id: a uid or an image id has 32 hex digits; an image id is "
                    "the BLAKE2b hash of the file, so where you have other hashes, give --files"
                )
        if not (named or urls):
            raise InputError("nothing to forget: give --ids, --urls, --image-hashes or --files")
        return cls(named, {str(url_hash(clean(one))): one for one in urls})

    def __len__(self) -> int:
        return len(self.ids) + len(self.urls)

    @property
    def tombstones(self) -> Tombstones:
        return Tombstones(frozenset(self.ids), frozenset(self.urls))

    def unknown(self, ids: Collection[str], urls: Collection[str]) -> list[str]:
        """Those that are not among some names, as they were asked for."""
        return [text for name, text in self.ids.items() if name not in ids] + [
            text for name, text in self.urls.items() if name not in urls
        ]


@dataclass
class _Found:
    """Samples of the pool that a list names."""

    uids: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)  # hashes
    keys: set[str] = field(default_factory=set)  # of their tables

    @property
    def names(self) -> set[str]:
        return self.uids | self.images


def forget(
    root: str,
    *,
    ids: Sequence[str] = (),
    urls: Sequence[str] = (),
    image_hashes: Sequence[str] = (),
    allow_unknown: bool = False,
    reason: str = "",
) -> Forgotten:
    """Take samples down, now and for crawls to come.

    Args:
        root: The store.
        ids: Uids or image ids.
        urls: As the crawl wrote them; every sample with one of them is taken down.
        image_hashes: Image ids (`images.image_id`); every sample with such a picture is.
        allow_unknown: Write down what no sample has too, for crawls to come.
        reason: A line for whoever reads the list.

    Raises:
        InputError: Something is no id, or names no sample of the pool; nothing is written then.
    """
    wanted = _Wanted.of(ids, urls, image_hashes)
    store = open_store(root)
    keys = [i.key for i in store.list("tables/samples/") if i.key.endswith(".parquet")]
    if not keys:
        raise InputError(f"{store.uri} has no samples; --root names where a crawl was ingested")
    before = read_tombstones(store)
    found = _look_up(store, keys, wanted.tombstones)
    unknown = wanted.unknown(found.names | before.ids, found.urls | before.urls)
    if unknown and not allow_unknown:
        raise _unknown_error(store, len(wanted), unknown)
    written, lines = "", wanted.ids.keys() | found.uids
    if not (lines <= before.ids and wanted.urls.keys() <= before.urls):
        written = write_tombstones(store, ids=lines, urls=wanted.urls, reason=clean(reason))
    # Of a picture asked for by its id, every sample is found already.
    same = _look_up(store, keys, Tombstones(frozenset(found.images - wanted.ids.keys())))
    return Forgotten(
        listed=len(wanted),
        unknown=len(unknown),
        samples=len(found.uids),
        shards=len(found.keys),
        copies=len(same.uids - found.uids),
        tombstones=written,
        holders=find_holders(store, found.uids, found.keys),
    )


def read_list(path: Path) -> list[str]:
    """The lines of a list, without blanks around them, and without empty ones.

    Raises:
        InputError: It cannot be read, or holds nothing.
    """
    try:
        lines = [clean(line) for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}") from None
    if not any(lines):
        raise InputError(f"{path} is empty; it should have an id, a URL or a hash on each line")
    return [line for line in lines if line]


def hash_files(folder: Path) -> list[str]:
    """Image ids of all files under a folder.

    Raises:
        InputError: It is no folder, or holds no file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError(f"--files {folder} is no folder with pictures in it")
    return [hash_file(path) for path in files]


def _unknown_error(store: Store, listed: int, unknown: Sequence[str]) -> InputError:
    return InputError(
        f"{len(unknown)} of {listed} name no sample of {store.uri}, the first is '{unknown[0]}'; "
        "nothing was taken down. --allow-unknown writes them down for crawls to come"
    )


def _look_up(store: Store, keys: Sequence[str], wanted: Tombstones) -> _Found:
    """All samples of the pool that are named."""
    found = _Found()
    if not wanted:
        return found

    def read(key: str) -> pa.Table:
        with store.local_file(key) as path:
            table = read_parquet(path, columns=_COLUMNS)
        table = table.filter(pa.array(wanted.rows(table)))
        return table.append_column("url_hash", url_hashes(table.column("url").to_pylist()))

    with ThreadPoolExecutor(_READERS) as pool:
        tables = bar(pool.map(read, keys), label="samples", total=len(keys), unit="shard")
        for key, table in zip(keys, tables, strict=True):
            if table.num_rows:
                found.keys.add(key)
                found.uids.update(table.column("uid").to_pylist())
                found.images.update(one for one in table.column("image_id").to_pylist() if one)
                found.urls.update(one for one in table.column("url_hash").to_pylist() if one)
    return found
