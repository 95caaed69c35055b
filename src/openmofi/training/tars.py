"""Tars of training shards on this machine: all from the start, or as the run comes to them."""

import contextlib
import copy
import fcntl
import hashlib
import os
import platform
import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from openmofi.errors import OpenMofiError, StorageError
from openmofi.files import cache_folder
from openmofi.keys import hash_bytes, hash_file
from openmofi.shards import TarReader, wrong_digest
from openmofi.storage import FolderStore, Store
from openmofi.store_wait import waiting

_PIECE = 16 << 20  # bytes of one request: memory of a process that fetches
_HEX_DIGITS = len(hash_bytes(b""))


@dataclass(frozen=True)
class StoredTar:
    """A shard's tar as its manifest names it; ``size`` in bytes, 0 where nobody has asked."""

    key: str
    digest: str
    size: int = 0


class Tars(Protocol):
    """Opens the tar of a shard by the shard's number."""

    def name(self, shard: int) -> str:
        """The tar's address, for messages."""

    def open(self, shard: int) -> TarReader:
        """A reader of the tar; the caller closes it."""

    def expect(self, present: Sequence[int], following: Sequence[int]) -> None:
        """Which shards this process reads from now on, and which ones after them."""

    def close(self) -> None:
        """Stop what goes on in the background, until `expect` is called again."""


class HeldTars:
    """Tars that are all here, and checked, as long as the run takes."""

    def __init__(self, names: Sequence[str], paths: Sequence[Path]) -> None:
        self._names = names
        self._paths = paths

    def name(self, shard: int) -> str:
        """The tar's address."""
        return self._names[shard]

    def open(self, shard: int) -> TarReader:
        """A reader of the tar."""
        return TarReader(self._paths[shard])

    def expect(self, present: Sequence[int], following: Sequence[int]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class StreamedTars:
    """Tars that come when the run comes to their window, and go when it has left them.

    All ranks and workers of a machine share one folder. Who needs a tar first copies it there under
    another name, hashes it on the way and moves it into place; the others wait for it. A thread of
    each process brings what `expect` announces, so reads seldom wait. From a folder store nothing
    is copied: the tar is hashed, and the shared folder gets a link to it.

    A process that enters a window removes the tars of the window before the last, so the folder
    holds three windows: past, present, next. One that is a window behind the others still finds
    all that it needs. One that is further behind goes on with the tars that it has open, and
    fetches the others again, to remove them in its turn: that costs time, and changes no result.

    Args:
        store: Where the tars are kept.
        tars: One a shard.
        folder: Shared by the processes of this machine; see `shared_folder`.
        origin: Who names the digests, for messages.
    """

    def __init__(self, store: Store, tars: Sequence[StoredTar], folder: Path, origin: str) -> None:
        self._store = store
        self._process = os.getpid()
        self._tars = tars
        self._folder = folder
        self._origin = origin
        self._before: frozenset[int] = frozenset()
        self._expected: frozenset[int] = frozenset()
        self._orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def name(self, shard: int) -> str:
        """The tar's address."""
        return f"{self._store.uri}/{self._tars[shard].key}"

    def open(self, shard: int) -> TarReader:
        """A reader of the tar, which is fetched if it is not here.

        Raises:
            ShardError: It is not what the manifest says.
            StorageError: It is gone, cut short, or there is no room for it.
        """
        while True:  # another process may remove it between the two lines
            try:
                return TarReader(self._place(shard))
            except FileNotFoundError:
                self._fetch(shard, wait=True, wanted=lambda: True)

    def expect(self, present: Sequence[int], following: Sequence[int]) -> None:
        """Fetch these in the background; remove what was expected before the last time."""
        expected = frozenset(present) | frozenset(following)
        if expected == self._expected:
            return
        for shard in self._before - self._expected - expected:
            self._place(shard).unlink(missing_ok=True)
            _lock_of(self._place(shard)).unlink(missing_ok=True)
        self._before, self._expected = self._expected, expected
        if self._thread is None or not self._thread.is_alive():
            arguments = (self._orders,)
            self._thread = threading.Thread(target=self._serve, args=arguments, daemon=True)
            self._thread.start()
        for shard in (*_turned(present), *_turned(following)):
            self._orders.put(shard)

    def close(self) -> None:
        """Stop the thread. In a forked process, forget the parent's."""
        thread, self._thread = self._thread, None
        self._before = self._expected = frozenset()
        if thread is not None and thread.is_alive():  # after a fork it is not
            self._orders.put(None)
            thread.join()
        self._orders = queue.SimpleQueue()  # a fork may have copied the other one in mid-call

    def _serve(self, orders: "queue.SimpleQueue[int | None]") -> None:
        while (shard := orders.get()) is not None:

            def wanted(shard: int = shard) -> bool:
                return shard in self._expected

            # Whoever reads the tar meets the same error, and there it can be told.
            with contextlib.suppress(OpenMofiError):
                if wanted():
                    self._fetch(shard, wait=False, wanted=wanted)

    def _fetch(self, shard: int, *, wait: bool, wanted: Callable[[], bool]) -> None:
        """Bring a tar that is not here, unless another process does and ``wait`` is off."""
        place = self._place(shard)
        if place.exists():
            return
        try:
            with _alone(_lock_of(place), wait=wait) as alone:
                if alone and not place.exists():
                    self._bring(shard, place, wanted)
        except OSError as error:
            raise StorageError(
                f"cannot keep {self.name(shard)} in {self._folder}: {error.strerror or error}; "
                "OPENMOFI_CACHE can name a folder on another disk"
            ) from error

    def _bring(self, shard: int, place: Path, wanted: Callable[[], bool]) -> None:
        temporary = place.with_name(f".writing-{place.stem}-{os.getpid()}-{threading.get_ident()}")
        try:
            if isinstance(self._store, FolderStore):
                with self._store.local_file(self._tars[shard].key) as path:
                    found = hash_file(path)
                    temporary.symlink_to(path)
            else:
                found = self._copy(shard, temporary, wanted)
            if found != self._tars[shard].digest:
                raise wrong_digest(self.name(shard), self._origin)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)

    def _copy(self, shard: int, path: Path, wanted: Callable[[], bool]) -> str:
        """Copy a tar in pieces; returns its digest."""
        if self._process != os.getpid():  # connections must not be shared with the parent
            self._store, self._process = copy.copy(self._store), os.getpid()
        tar = self._tars[shard]
        digest = hashlib.blake2b(digest_size=_HEX_DIGITS // 2)
        with path.open("xb") as file:
            for offset in range(0, tar.size, _PIECE):
                if not wanted():
                    raise StorageError(f"{self.name(shard)} is not wanted any more")
                data = self._store.get_range(tar.key, offset, min(_PIECE, tar.size - offset))
                digest.update(data)
                file.write(data)
        return digest.hexdigest()

    def _place(self, shard: int) -> Path:
        return self._folder / f"{self._tars[shard].digest}.tar"


@contextlib.contextmanager
def shared_folder(name: str) -> Iterator[Path]:
    """A folder that this machine's processes share by ``name`` while any of them is inside.

    It lies in the cache (``OPENMOFI_CACHE``, else ``~/.cache/openmofi``). The first one in empties
    it, since a killed run may have left something; the last one out removes it.

    Raises:
        StorageError: It cannot be made.
    """
    # Homes may be shared by several machines, and locks and removals are for one.
    folder = cache_folder() / "training-shards" / f"{name}-{platform.node()}"
    with contextlib.ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(_lock_file(folder.with_name(f"{folder.name}.lock")))
            if _try_lock(lock):
                shutil.rmtree(folder, ignore_errors=True)
            fcntl.flock(lock, fcntl.LOCK_SH)
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot use {folder}: {error.strerror}; OPENMOFI_CACHE can name another folder"
            ) from error
        try:
            yield folder
        finally:
            if _try_lock(lock):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock, which ends with the process that holds it; False: another one has it."""
    with _lock_file(path) as lock:
        if wait:
            with waiting("reads"):  # until the other one has fetched it
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield wait or _try_lock(lock)


@contextlib.contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    with path.open("a") as file:
        try:
            yield file.fileno()
        finally:
            # A process that was forked meanwhile has the file open too: closing would not do.
            fcntl.flock(file, fcntl.LOCK_UN)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_of(place: Path) -> Path:
    return place.with_suffix(".lock")


def _turned(shards: Sequence[int]) -> Sequence[int]:
    """Begin at another one in each process, so that they share the work."""
    first = os.getpid() % max(1, len(shards))
    return [*shards[first:], *shards[:first]]
