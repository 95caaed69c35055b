"""Metrics that a thread writes: a training step does not wait for a tracking server."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

LogMetrics = Callable[[dict[str, float], int], None]


class MetricsQueue:
    """Hands metrics to ``log`` in order, from a thread of its own; a context manager.

    What ``log`` raises is raised at the next call, or at the end of the block.

    Args:
        log: Called with metrics and a step.
    """

    def __init__(self, log: LogMetrics) -> None:
        self._log = log
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __call__(self, values: dict[str, float], step: int) -> None:
        """Queue metrics of a step."""
        for done in [one for one in self._waiting if one.done()]:
            self._waiting.remove(done)
            done.result()
        self._waiting.append(self._pool.submit(self._log, dict(values), step))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None:
            for one in self._waiting:
                one.result()
