"""Where bytes live: a folder or any S3 endpoint, behind what an object store can promise.

Whole-object put and get, ranged get, list and delete. No rename, no append. This is the only
module that talks to an object store. Every object appears whole or not at all.

Credentials come from the client's provider chain (environment, AWS file, container or web
identity), never from a parameter. The endpoint comes from ``OPENMOFI_S3_ENDPOINT`` or
``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, the region from ``AWS_REGION``.
"""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlparse

from openmofi.errors import InputError, StorageError
from openmofi.files import cache_folder, moved_into_place
from openmofi.storage_s3 import S3Client, connect
from openmofi.store_wait import waiting

_TEMPORARY = ".writing-"


@dataclass(frozen=True)
class ObjectInfo:
    """One object of a listing; ``key`` is relative to the store.

    ``tag`` changes whenever the object is written anew: the ETag of S3, the time of change of a
    file. It says that content may have changed, never that two objects are equal. ``modified`` is
    when that was, in seconds since 1970 by the store's clock.
    """

    key: str
    size: int
    tag: str = ""
    modified: float = 0.0


class Store(Protocol):
    """Objects under one root URI. Keys are relative, with ``/`` between their parts."""

    @property
    def uri(self) -> str:
        """The root, without a slash at its end."""

    def put(self, key: str, data: bytes) -> None:
        """Write one whole object, replacing what was there."""

    def put_file(self, key: str, path: Path) -> None:
        """Write one whole object from a local file."""

    def new_file(self, key: str) -> contextlib.AbstractContextManager[Path]:
        """A local path to write, which becomes the object if the block ends well."""

    def get(self, key: str) -> bytes:
        """The object's bytes, or a `StorageError` that names it."""

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; fewer is a `StorageError`."""

    def exists(self, key: str) -> bool:
        """Whether the object is there."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with ``prefix``, sorted by key."""

    def delete(self, key: str) -> None:
        """Remove the object. No error if it is not there."""

    def local_file(self, key: str) -> contextlib.AbstractContextManager[Path]:
        """A local, readable copy (the file itself in a folder store) for the block's time."""

    def check(self) -> None:
        """Raise a `StorageError` unless the root can be reached with the credentials at hand."""


def open_store(uri: str) -> Store:
    """The store at ``file:///folder`` (or a plain path) or ``s3://bucket/prefix``.

    Raises:
        InputError: The URI has another scheme or no bucket.
    """
    parsed = urlparse(uri)
    if parsed.scheme == "s3":
        if not parsed.netloc:
            raise InputError(f"root {uri!r} names no bucket; write s3://bucket/prefix")
        return S3Store(parsed.netloc, parsed.path.strip("/"))
    if parsed.scheme == "file":
        if parsed.netloc not in {"", "localhost"}:
            raise InputError(f"root {uri!r} names a host; write file:///folder with three slashes")
        return FolderStore(Path(unquote(parsed.path)))
    if parsed.scheme == "":
        return FolderStore(Path(uri))
    raise InputError(f"root {uri!r} has scheme '{parsed.scheme}'; use file:///… or s3://bucket/…")


class FolderStore:
    """Objects as files under a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def uri(self) -> str:
        return self._folder.as_uri()

    def _path(self, key: str) -> Path:
        path = (self._folder / key).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise StorageError(f"key {key!r} leaves the store {self.uri}")
        return path

    @waiting("writes")
    def put(self, key: str, data: bytes) -> None:
        with self.new_file(key) as temporary:
            temporary.write_bytes(data)

    @waiting("writes")
    def put_file(self, key: str, path: Path) -> None:
        with self.new_file(key) as temporary:
            shutil.copyfile(path, temporary)

    @contextlib.contextmanager
    def new_file(self, key: str) -> Iterator[Path]:
        target = self._path(key)
        temporary = target.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        try:
            with moved_into_place(temporary, target):
                yield temporary
        except OSError as error:
            raise StorageError(f"cannot write {self.uri}/{key}: {error.strerror}") from error

    @waiting("reads")
    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {self.uri}/{key}: {error.strerror}") from error

    @waiting("reads")
    def get_range(self, key: str, offset: int, length: int) -> bytes:
        try:
            with self._path(key).open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except OSError as error:
            raise StorageError(f"cannot read {self.uri}/{key}: {error.strerror}") from error
        return _whole_range(data, length, f"{self.uri}/{key}", offset)

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # A prefix may end in the middle of a name: walk the last whole folder of it.
        folder = self._path(prefix.rpartition("/")[0])
        found = []
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                key = path.relative_to(self._folder.resolve()).as_posix()
                if key.startswith(prefix) and not name.startswith(_TEMPORARY):
                    # A file that is gone by now, or a link that leads nowhere, is no object.
                    with contextlib.suppress(FileNotFoundError):
                        stat = path.stat()
                        tag = str(stat.st_mtime_ns)
                        found.append(ObjectInfo(key, stat.st_size, tag, stat.st_mtime))
        return iter(sorted(found, key=lambda info: info.key))

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def local_file(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        if not path.is_file():
            raise StorageError(f"cannot read {self.uri}/{key}: No such file or directory")
        yield path

    def check(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot use {self.uri} as root: {error.strerror}") from error


class S3Store:
    """Objects in a bucket of any S3 endpoint, under a prefix."""

    def __init__(self, bucket: str, prefix: str, client: S3Client | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client or connect()

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes open their own connections.
        return (S3Store, (self._bucket, self._prefix.rstrip("/")))

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, data: bytes) -> None:
        self._client.put(self._bucket, self._prefix + key, data)

    def put_file(self, key: str, path: Path) -> None:
        self._client.put_file(self._bucket, self._prefix + key, path)

    @contextlib.contextmanager
    def new_file(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="openmofi-") as folder:
            path = Path(folder, "new")
            yield path
            self.put_file(key, path)

    def get(self, key: str) -> bytes:
        return self._client.get(self._bucket, self._prefix + key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""  # S3 has no way to ask for an empty range
        data = self._client.get(self._bucket, self._prefix + key, offset, length)
        return _whole_range(data, length, f"{self.uri}/{key}", offset)

    def exists(self, key: str) -> bool:
        return self._client.exists(self._bucket, self._prefix + key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for key, size, tag, modified in self._client.list(self._bucket, self._prefix + prefix):
            yield ObjectInfo(key.removeprefix(self._prefix), size, tag, modified)

    def delete(self, key: str) -> None:
        self._client.delete(self._bucket, self._prefix + key)

    @contextlib.contextmanager
    def local_file(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="openmofi-") as folder:
            path = Path(folder, Path(key).name)
            self._client.get_file(self._bucket, self._prefix + key, path)
            yield path

    def check(self) -> None:
        self._client.check(self._bucket)


def _whole_range(data: bytes, length: int, name: str, offset: int) -> bytes:
    if len(data) != length:
        raise StorageError(f"{name} is cut short: wanted {length} bytes at {offset}")
    return data


def local_folder(store: Store, prefix: str, digest: str) -> Path:
    """A local folder with all objects under ``prefix``, for readers that map files.

    A folder store's own folder is returned as it is. From S3 the objects are copied once into the
    cache (``OPENMOFI_CACHE``, else ``~/.cache/openmofi``) under ``digest``, which must name the
    content: it is trusted when present.
    """
    if isinstance(store, FolderStore):
        folder = store._path(prefix.rstrip("/"))
        if not folder.is_dir():
            raise StorageError(f"nothing is stored under {store.uri}/{prefix}")
        return folder
    base = cache_folder()
    target = base / digest
    if target.is_dir():
        return target
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix=_TEMPORARY) as temporary:
        staging = Path(temporary, "content")
        found = False
        for info in store.list(prefix.rstrip("/") + "/"):
            found = True
            path = staging / info.key.removeprefix(prefix.rstrip("/") + "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            with store.local_file(info.key) as copy:
                shutil.move(copy, path)
        if not found:
            raise StorageError(f"nothing is stored under {store.uri}/{prefix}")
        try:
            os.replace(staging, target)
        except OSError:
            # Another process may have filled the cache meanwhile: same digest, same content.
            if not target.is_dir():
                raise
    return target


def put_folder(store: Store, prefix: str, folder: Path) -> None:
    """Write every file under ``folder`` to ``prefix``, in sorted order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put_file(f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}", path)
