"""Single calls that `benchmarks.object_store` times, and plain clients that do the same.

A plain client of a folder is the file system; of S3 it is urllib3 on a presigned address for reads
(no signing, no checksum) and minio's own client for writes. They are the floor: what the store
itself takes.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlparse

import urllib3
from minio import Minio

from openmofi.shards import TarReader, index_tar
from openmofi.storage import Store

_CHUNK = 1 << 20
_THREADS = 16  # as `build_shards` reads single samples


class Timed(NamedTuple):
    """Seconds, and how much was done in them."""

    seconds: float
    count: int  # images, requests or keys
    bytes: int


class Plain(Protocol):
    """A client with nothing of ours."""

    def read(self, key: str) -> int:
        """Bytes of an object, read and thrown away."""

    def write(self, key: str, path: Path) -> None:
        """Write an object from a file."""


class PlainFolder:
    """Files."""

    def __init__(self, uri: str) -> None:
        self._folder = Path(unquote(urlparse(uri).path))

    def read(self, key: str) -> int:
        with (self._folder / key).open("rb") as file:
            return sum(len(chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))

    def write(self, key: str, path: Path) -> None:
        target = self._folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


class PlainS3:
    """Requests, as the environment's endpoint and keys have it."""

    def __init__(self, uri: str) -> None:
        parsed = urlparse(uri)
        self._bucket, self._prefix = parsed.netloc, f"{parsed.path.strip('/')}/".lstrip("/")
        endpoint = urlparse(os.environ["OPENMOFI_S3_ENDPOINT"])
        self._client = Minio(
            endpoint=endpoint.netloc,
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            secure=endpoint.scheme == "https",
            region=os.environ.get("AWS_REGION", "us-east-1"),
        )
        self._http = urllib3.PoolManager()

    def read(self, key: str) -> int:
        address = self._client.presigned_get_object(self._bucket, self._prefix + key)
        response = self._http.request("GET", address, preload_content=False)
        if response.status != 200:
            raise RuntimeError(f"{key}: the store answered {response.status}")
        size = sum(len(chunk) for chunk in response.stream(_CHUNK))
        response.release_conn()
        return size

    def write(self, key: str, path: Path) -> None:
        self._client.fput_object(self._bucket, self._prefix + key, str(path))


def plain_client(uri: str) -> Plain:
    return PlainS3(uri) if uri.startswith("s3:") else PlainFolder(uri)


class Subject(NamedTuple):
    """What the calls are made on.

    Args:
        store: Ours.
        plain: The same store without us.
        tars: Keys of pool shards.
        local: The same shards as files here, to write.
        keys: Objects under ``many/``, for listings.
        puts: Objects of 1 KB to write.
    """

    store: Store
    plain: Plain
    tars: Sequence[str]
    local: Sequence[Path]
    keys: int
    puts: int


def read_shards(subject: Subject) -> Iterator[tuple[int, int]]:
    """Every shard whole, and every image in it: as an encoder's first worker would."""
    for key in subject.tars:
        with subject.store.local_file(key) as path, TarReader(path) as tar:
            found = [members for _, members in tar.members(index_tar(path))]
            yield len(found), path.stat().st_size


def read_shards_plain(subject: Subject) -> Iterator[tuple[int, int]]:
    for key in subject.tars:
        yield 1, subject.plain.read(key)


def write_shards(subject: Subject) -> Iterator[tuple[int, int]]:
    for number, path in enumerate(subject.local):
        subject.store.put_file(f"written/{number}.tar", path)
        yield 1, path.stat().st_size


def write_shards_plain(subject: Subject) -> Iterator[tuple[int, int]]:
    for number, path in enumerate(subject.local):
        subject.plain.write(f"written-plain/{number}.tar", path)
        yield 1, path.stat().st_size


def read_samples(subject: Subject) -> Iterator[tuple[int, int]]:
    """One image in eight by itself, in one thread."""
    for key, offset, length in _places(subject):
        yield 1, len(subject.store.get_range(key, offset, length))


def read_samples_at_once(subject: Subject) -> Iterator[tuple[int, int]]:
    with ThreadPoolExecutor(_THREADS) as pool:
        for data in pool.map(lambda place: subject.store.get_range(*place), _places(subject)):
            yield 1, len(data)


def list_keys(subject: Subject) -> Iterator[tuple[int, int]]:
    found = sum(1 for _ in subject.store.list("many/"))
    if found != subject.keys:
        raise RuntimeError(f"{found} keys were listed, and there are {subject.keys}")
    yield found, 0


def put_small(subject: Subject) -> Iterator[tuple[int, int]]:
    for number in range(subject.puts):
        subject.store.put(f"small/{number}", bytes(1000))
        yield 1, 1000


def put_small_at_once(subject: Subject) -> Iterator[tuple[int, int]]:
    with ThreadPoolExecutor(_THREADS) as pool:
        numbers = range(subject.puts)
        for _ in pool.map(lambda n: subject.store.put(f"small/{n}", bytes(1000)), numbers):
            yield 1, 1000


CALLS: dict[str, Callable[[Subject], Iterator[tuple[int, int]]]] = {
    "read shards": read_shards,
    "read shards, plain client": read_shards_plain,
    "write shards": write_shards,
    "write shards, plain client": write_shards_plain,
    "read single images": read_samples,
    "read single images, 16 threads": read_samples_at_once,
    "list keys": list_keys,
    "put 1 KB": put_small,
    "put 1 KB, 16 threads": put_small_at_once,
}


def time_call(name: str, subject: Subject) -> Timed:
    started = time.perf_counter()
    done = list(CALLS[name](subject))
    seconds = time.perf_counter() - started
    return Timed(seconds, sum(count for count, _ in done), sum(size for _, size in done))


def write_many(store: Store, keys: int) -> None:
    """What `list_keys` lists."""
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda n: store.put(f"many/{n:06d}", b"x"), range(keys)))


def _places(subject: Subject) -> list[tuple[str, int, int]]:
    """Key, offset and length of one image in eight."""
    return [
        (key, member.offset, member.length)
        for key, path in zip(subject.tars, subject.local, strict=True)
        for sample in index_tar(path)[::8]
        for extension, member in sample.members.items()
        if extension not in ("txt", "json")
    ]
