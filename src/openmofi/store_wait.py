"""How long work waits for its store.

Every call to a store notes its seconds with the thread that makes it. What another thread fetches
or writes for it counts only as far as it had to wait for that one: latency that is hidden is none.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Literal, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Kind = Literal["reads", "writes"]
# A batch that is there within this time was there before it was asked for.
_AT_ONCE_S = 1e-3


@dataclass
class StoreWait:
    """Seconds; ``elapsed`` are those of the block that was measured, once it is over."""

    reads: float = 0.0
    writes: float = 0.0
    elapsed: float = 0.0

    @property
    def total(self) -> float:
        """Reads and writes."""
        return self.reads + self.writes

    def add(self, other: "StoreWait", share: float = 1.0) -> None:
        """Add another's, or a share (0 to 1) of it."""
        self.reads += share * other.reads
        self.writes += share * other.writes

    def share(self, processes: int = 1) -> float:
        """Of the block's time in so many processes, 0 to 1."""
        return self.total / (self.elapsed * processes) if self.elapsed else 0.0

    def describe(self, processes: int = 1) -> str:
        """``waited for the store 0.7 of 12.0 s (5.8 %; reads 0.5, writes 0.2)``."""
        seconds, share = self.elapsed * processes, 100 * self.share(processes)
        return (
            f"waited for the store {self.total:.1f} of {seconds:.1f} s "
            f"({share:.1f} %; reads {self.reads:.1f}, writes {self.writes:.1f})"
        )


class _Thread(threading.local):
    wait: StoreWait | None = None


_thread = _Thread()


@contextlib.contextmanager
def store_wait() -> Iterator[StoreWait]:
    """What this thread waits in the block; blocks around it have it too."""
    outer, started = _thread.wait, time.monotonic()
    _thread.wait = wait = StoreWait()
    try:
        yield wait
    finally:
        wait.elapsed = time.monotonic() - started
        _thread.wait = outer
        note(wait)


@contextlib.contextmanager
def waiting(kind: Kind) -> Iterator[None]:
    """Note the block's time, that of one call to a store."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - started
        if _thread.wait is not None:
            setattr(_thread.wait, kind, getattr(_thread.wait, kind) + seconds)


def note(wait: StoreWait, share: float = 1.0) -> None:
    """Add what was measured elsewhere to what this thread has waited."""
    if _thread.wait is not None:
        _thread.wait.add(wait, share)


def apart(function: Callable[..., ResultT], *given: object) -> tuple[ResultT, StoreWait]:
    """A function's result, and what it waited, which is noted nowhere yet."""
    outer = _thread.wait
    _thread.wait = wait = StoreWait()
    try:
        return function(*given), wait
    finally:
        _thread.wait = outer


def blocked_on(future: "Future[tuple[ResultT, StoreWait]]") -> ResultT:
    """The result of what another thread runs `apart`.

    This thread has waited for the store no longer than for the result, nor than the other did.
    """
    started = time.monotonic()
    result, wait = future.result()
    blocked = time.monotonic() - started
    note(wait, min(1.0, blocked / wait.total) if wait.total else 0.0)
    return result


def mapped(
    pool: Executor, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
) -> Iterator[ResultT]:
    """``pool.map``, of which the waiting is noted."""
    futures = deque(pool.submit(apart, function, item) for item in items)
    try:
        while futures:  # no result is kept longer than it is needed
            yield blocked_on(futures.popleft())
    finally:
        for future in futures:
            future.cancel()


def taken_over(
    results: Iterator[tuple[ItemT, tuple[ResultT, StoreWait] | str]],
) -> Iterator[tuple[ItemT, ResultT | str]]:
    """Results of `apart`, or why there is none; this thread notes what they have waited."""
    for item, outcome in results:
        if isinstance(outcome, str):
            yield item, outcome
        else:
            note(outcome[1])
            yield item, outcome[0]


class Debts:
    """Delays by the store in processes that work ahead, as far as the one that waits feels them.

    A delay goes on until its process has caught up, so until an item of it is there when asked for.
    """

    def __init__(self) -> None:
        self._owed: dict[int, StoreWait] = {}

    def felt(self, worker: int, wait: StoreWait, blocked: float) -> None:
        """Note what was felt of a worker's delays.

        Args:
            worker: Its number.
            wait: What it has waited for the store while it made this item.
            blocked: Seconds that this thread has waited for the item.
        """
        owed = self._owed.setdefault(worker, StoreWait())
        owed.add(wait)
        share = min(1.0, blocked / owed.total) if owed.total else 0.0
        note(owed, share)
        owed.add(owed, -share if blocked > _AT_ONCE_S else -1.0)
