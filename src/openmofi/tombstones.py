"""What was taken down: objects under ``tombstones/``, one line each, that every reader honours.

A line is a uid, an image id, or ``url:`` and the hash of a URL, so that a list does not keep what
it takes down; ``#`` begins a comment. Lists may be written by hand. Those of `forget` say in their
first line that the uids of all samples are among them, so that readers need no more than uids.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from openmofi.keys import hash_bytes, hash_json
from openmofi.records import Status
from openmofi.storage import Store

FOLDER = "tombstones/"
TAKEN_DOWN = "it was taken down"  # the reason beside the status, in `records.SAMPLES`
_URL = "url:"
_SETTLED = "# openmofi dataset forget: the uids of all samples found are listed"


@dataclass(frozen=True)
class Tombstones:
    """All lines of a store.

    Args:
        ids: Uids and image ids.
        urls: Hashes of URLs.
        digest: Of both.
        settled: Whether every sample that was in the store when a list was written is named by its
            uid. If not, image ids and URLs have to be looked up in the pool.
    """

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    digest: str = field(default_factory=lambda: hash_json([]))
    settled: bool = True

    def __bool__(self) -> bool:
        return bool(self.ids or self.urls)

    def hits(
        self,
        uids: pa.ChunkedArray | pa.Array,
        image_ids: pa.ChunkedArray | pa.Array,
        url_hashes: pa.ChunkedArray | pa.Array,
    ) -> npt.NDArray[np.bool_]:
        """Which samples were taken down, bool [samples]; image ids and hashes may be null."""
        ids, urls = self._listed
        found = np.zeros(len(uids), np.bool_)
        for column, listed in ((uids, ids), (image_ids, ids), (url_hashes, urls)):
            found |= np.asarray(compute.is_in(column, value_set=listed))
        return found

    @cached_property
    def _listed(self) -> tuple[pa.Array, pa.Array]:
        """Ids and hashes of URLs, as Arrow looks values up: made once, not for every shard."""
        return pa.array(self.ids, pa.string()), pa.array(self.urls, pa.string())

    def names(self, uid: str, image_id: str | None, url: str | None) -> bool:
        """Whether one sample was taken down."""
        return uid in self.ids or image_id in self.ids or url_hash(url) in self.urls

    def rows(self, samples: pa.Table) -> npt.NDArray[np.bool_]:
        """Which rows were taken down, bool [rows], those blanked by a compaction too.

        Args:
            samples: With ``uid``, and ``image_id``, ``url`` and ``status`` as far as they are kept.
        """
        nothing = pa.nulls(samples.num_rows, pa.string())
        columns = {name: samples.column(name) for name in samples.column_names}
        hashes = url_hashes(columns["url"].to_pylist()) if self.urls and "url" in columns else None
        found = self.hits(
            columns["uid"], columns.get("image_id", nothing), nothing if hashes is None else hashes
        )
        if "status" in columns:
            found |= np.asarray(compute.equal(columns["status"], str(Status.TAKEN_DOWN)))
        return found

    def drop(self, samples: pa.Table) -> pa.Table:
        """The rows that were not taken down; see `rows`."""
        return samples.filter(pa.array(~self.rows(samples)))


def url_hash(url: str | None) -> str | None:
    """32 hex digits of a URL, which a tombstone names it by."""
    return hash_bytes(url.encode()) if url else None


def url_hashes(urls: Sequence[str | None]) -> pa.Array:
    """`url_hash` of each, null where there is no URL."""
    return pa.array([url_hash(url) for url in urls], pa.string())


def read_tombstones(store: Store) -> Tombstones:
    """All that was taken down in a store."""
    found: set[str] = set()
    settled = True
    for info in store.list(FOLDER):
        text = store.get(info.key).decode()
        lines = {one.partition("#")[0].strip() for one in text.split("\n")} - {""}
        settled &= text.startswith(_SETTLED) or not lines
        found |= lines
    urls = {line.removeprefix(_URL) for line in found if line.startswith(_URL)}
    ids = {line for line in found if not line.startswith(_URL)}
    return Tombstones(frozenset(ids), frozenset(urls), hash_json(sorted(found)), settled)


def write_tombstones(
    store: Store, *, ids: Iterable[str], urls: Iterable[str], reason: str = ""
) -> str:
    """Add a list; return its digest.

    Args:
        store: The pool's.
        ids: Uids, of all samples that image ids and URLs name too, and image ids.
        urls: Hashes of URLs.
        reason: One line for whoever reads the list.
    """
    head = [_SETTLED, *([f"# {reason}"] if reason else [])]
    lines = [*sorted(set(ids)), *(f"{_URL}{one}" for one in sorted(set(urls)))]
    data = "".join(f"{line}\n" for line in [*head, *lines]).encode()
    digest = hash_bytes(data)
    store.put(f"{FOLDER}{digest}.txt", data)
    return digest
