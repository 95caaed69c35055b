"""Stages that work on the samples of several shards at once, as an encoder with full batches does.

`openmofi.stage` hands such a stage all shards that are to be done, and writes each one's table in
the background, so that whoever makes the next one does not wait for a store.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from openmofi.store_wait import StoreWait, apart, blocked_on
from openmofi.workers import one_line

if TYPE_CHECKING:
    from openmofi.stage import ShardInput, StageOutput

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_WRITERS = 2  # threads; a table is on its way while the next one is made
_UNWRITTEN = 4  # tables that may wait in memory


@runtime_checkable
class StreamStage(Protocol):
    """One step over shards that cuts its work across them."""

    name: str
    version: int  # STAGE_VERSION: raised by hand when the output for the same input changes

    def semantic_config(self) -> Mapping[str, Any]:
        """Configuration that can change the result, as plain values."""

    def digests(self) -> Mapping[str, str]:
        """Digests of the models and the knowledge base used, by role."""

    def setup(self) -> None:
        """Load weights and tables."""

    def stream(
        self, shards: "Sequence[ShardInput]"
    ) -> "Iterator[tuple[ShardInput, StageOutput | str]]":
        """Each shard with its table, in order, or with the reason in one line why it has none."""


def stream_shards(
    stage: StreamStage,
    shards: "Sequence[ShardInput]",
    write: "Callable[[ShardInput, StageOutput, float], ResultT]",
) -> "Iterator[tuple[ShardInput, ResultT | str]]":
    """Each shard with what ``write`` makes of its table, or with the reason why it failed.

    Args:
        stage: The stage.
        shards: All that are to be done.
        write: Of a shard, its table, and the seconds since the table before it; runs in a thread.
            What it waits for the store counts only as far as it is waited for.
    """
    waiting: deque[tuple[ShardInput, Future[tuple[ResultT | str, StoreWait]]]] = deque()
    stage.setup()
    last = time.monotonic()
    with ThreadPoolExecutor(_WRITERS) as pool:
        for shard, output in stage.stream(shards):
            now = time.monotonic()
            written = pool.submit(apart, _written, write, shard, output, now - last)
            waiting.append((shard, written))
            last = now
            while len(waiting) > _UNWRITTEN:
                done, written = waiting.popleft()
                yield done, blocked_on(written)
        for done, written in waiting:
            yield done, blocked_on(written)


def _written(
    write: "Callable[[ShardInput, StageOutput, float], ResultT]",
    shard: "ShardInput",
    output: "StageOutput | str",
    seconds: float,
) -> ResultT | str:
    if isinstance(output, str):
        return output
    try:
        return write(shard, output, seconds)
    except Exception as error:  # a bad shard must not take the others with it
        return one_line(error)


def ahead(function: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
    """``map``, with one item always on its way in a thread while the last result is used."""
    remaining = iter(items)
    with ThreadPoolExecutor(1) as pool:
        upcoming = [pool.submit(apart, function, item) for item in _next(remaining)]
        while upcoming:
            result = blocked_on(upcoming.pop())
            upcoming = [pool.submit(apart, function, item) for item in _next(remaining)]
            yield result


def _next(items: Iterator[ItemT]) -> list[ItemT]:
    for item in items:
        return [item]
    return []
