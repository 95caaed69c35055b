"""Where a source's files are: a folder or an S3 prefix, read through `openmofi.storage`."""

import contextlib
import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlparse

from openmofi.errors import InputError
from openmofi.keys import hash_file
from openmofi.storage import ObjectInfo, Store, open_store


class Location:
    """Files under a base folder, named relative to it.

    The store underneath is the whole file system or the whole bucket, since rows of a table may
    name files outside the table's folder, and links may lead there.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        parsed = urlparse(uri)
        if parsed.scheme == "s3":
            root, base = f"s3://{parsed.netloc}", parsed.path
        else:
            root, base = "file:///", unquote(parsed.path)
        self._store: Store = open_store(root)
        self._base = base.strip("/")

    def key(self, name: str) -> str:
        """The store key of a file, given relative to the base or absolute."""
        own = self._store.uri.rstrip("/") + "/"
        name = f"/{name.removeprefix(own)}" if name.startswith(own) else name
        return posixpath.normpath(posixpath.join(f"/{self._base}", name)).strip("/")

    def list(self) -> list[ObjectInfo]:
        """All files under the base by relative name, hidden ones left out, sorted."""
        prefix = f"{self._base}/" if self._base else ""
        found = []
        for info in self._store.list(prefix):
            name = info.key.removeprefix(prefix)
            if not any(part.startswith(".") for part in name.split("/")):
                found.append(ObjectInfo(name, info.size, info.tag))
        return found

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return self._store.exists(self.key(name))

    def get(self, name: str) -> bytes:
        """A file's bytes."""
        return self._store.get(self.key(name))

    @contextlib.contextmanager
    def local_file(self, name: str) -> Iterator[Path]:
        """A local, readable copy (the file itself where it is local)."""
        with self._store.local_file(self.key(name)) as path:
            yield path

    def hash(self, name: str) -> tuple[str, int]:
        """128-bit hash of a file's content, and its size in bytes."""
        with self.local_file(name) as path:
            return hash_file(path), path.stat().st_size


def locate(source: str) -> tuple[Location, str]:
    """Resolve what the user named: a base, and the one file's name ("" for a folder).

    Raises:
        InputError: The source is not there, or its address has another scheme.
    """
    parsed = urlparse(source)
    if parsed.scheme == "s3":
        return _locate_s3(source)
    if parsed.scheme not in ("", "file"):
        raise InputError(
            f"source {source!r} has scheme '{parsed.scheme}'; use a path, file:///… or s3://…"
        )
    path = Path(unquote(parsed.path) if parsed.scheme else source).expanduser().resolve()
    if path.is_dir():
        return Location(path.as_uri()), ""
    if path.is_file():
        return Location(path.parent.as_uri()), path.name
    raise InputError(f"source not found: {source}")


def _locate_s3(source: str) -> tuple[Location, str]:
    parsed = urlparse(source)
    if not parsed.netloc:
        raise InputError(f"source {source!r} names no bucket; write s3://bucket/prefix")
    folder, _, name = parsed.path.strip("/").rpartition("/")
    if "." not in name:
        return Location(source), ""
    location = Location(f"s3://{parsed.netloc}/{quote(folder, safe='/')}")
    if location.exists(name):
        return location, name
    return Location(source), ""
