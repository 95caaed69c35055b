"""A shard's images, decoded by threads ahead of whoever takes them."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from openmofi.images import decode_image
from openmofi.records import Status
from openmofi.shards import TarReader
from openmofi.stage import ShardInput

ItemT = TypeVar("ItemT")


def prepared_samples(
    shard: ShardInput,
    prepare: Callable[[Image.Image], ItemT],
    *,
    threads: int,
    ahead: int,
) -> Iterator[tuple[int, ItemT | None, Status]]:
    """Row, prepared image and status of every sample of a pool shard, in order.

    Pillow decodes and resizes without the interpreter's lock, so threads do. While the caller
    works on what it has taken, up to ``ahead`` further samples are decoded.

    Args:
        shard: With the table ``samples`` and a tar.
        prepare: From a decoded image to what is wanted, in the same thread.
        threads: That decode.
        ahead: Bound on prepared samples that wait.

    Yields:
        ``(row, None, SKIPPED)`` for what ingest refused, ``(row, None, FAILED)`` for what does not
        decode or cannot be prepared.
    """
    columns = (shard.table("samples").column(n).to_pylist() for n in ("status", "offset", "length"))
    waiting: deque[tuple[int, Future[ItemT | None] | None]] = deque()
    with shard.tar() as tar, ThreadPoolExecutor(threads) as pool:
        for row, (status, offset, length) in enumerate(zip(*columns, strict=True)):
            task = _submit(pool, tar, offset, length, prepare) if status == Status.OK else None
            waiting.append((row, task))
            if len(waiting) > ahead:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


def _submit(
    pool: ThreadPoolExecutor,
    tar: TarReader,
    offset: int,
    length: int,
    prepare: Callable[[Image.Image], ItemT],
) -> "Future[ItemT | None]":
    # Bytes are read here: the tar has one position, and reading is a small part of the work.
    return pool.submit(_prepare, tar.read(offset, length), prepare)


def _prepare(data: bytes, prepare: Callable[[Image.Image], ItemT]) -> ItemT | None:
    try:
        return prepare(decode_image(data))
    except Exception:  # one bad sample is a row with a status
        return None


def _result(row: int, task: "Future[ItemT | None] | None") -> tuple[int, ItemT | None, Status]:
    if task is None:
        return row, None, Status.SKIPPED
    item = task.result()
    return row, item, Status.OK if item is not None else Status.FAILED
