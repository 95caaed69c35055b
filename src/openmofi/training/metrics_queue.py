"""Metrics that a thread writes: a training step does not wait for a tracking server.

A run of days outlives a server that is away for minutes. What it cannot take is held and written
when it answers again, for an hour unless ``OPENMOFI_MLFLOW_PATIENCE_S`` says otherwise.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from openmofi.errors import InputError, StorageError
from openmofi.progress import say
from openmofi.training.checkpoint import Checkpoints

LogMetrics = Callable[[dict[str, float], int], None]
Row = tuple[dict[str, float], int]

PATIENCE = "OPENMOFI_MLFLOW_PATIENCE_S"
_PATIENCE_S = 3600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_WORTH_A_WORD_S = 20.0
_LAST_WORDS_S = 1.0
# What MLflow's exceptions say of a server that cannot be reached, too. A refusal stays one.
_AWAY = {408, 429, 500, 502, 503, 504}


def patience_s() -> float:
    """Seconds for which a training holds what its tracking server does not take.

    Raises:
        InputError: The environment says no positive number.
    """
    text = os.environ.get(PATIENCE) or str(_PATIENCE_S)
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) < threading.TIMEOUT_MAX:
            return seconds
    raise InputError(f"{PATIENCE} is {text!r}; set it to a positive number of seconds")


class MetricsQueue:
    """Hands metrics to ``log`` in order, from a thread of its own; a context manager.

    A call that fails because the server is away is made again until it has been so for
    ``patience_s``. What ``log`` raises then, or for any other reason, is raised at the next call,
    or at the end of the block, which waits until all is written. A block that ends by an error
    waits for nothing; `unwritten` is what was not taken.

    Args:
        log: Called with metrics and a step.
        patience_s: Seconds.
    """

    def __init__(self, log: LogMetrics, *, patience_s: float = _PATIENCE_S) -> None:
        self._log = log
        self._patience_s = patience_s
        self._rows: deque[Row] = deque()
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._closed = False
        self._stopped = threading.Event()
        self._tried: float | None = None  # when the row at the head was, for the first time
        self._told = False
        # A daemon: MLflow's client may sit in retries of its own for minutes.
        self._thread = threading.Thread(target=self._write_all, name="metrics", daemon=True)

    @property
    def unwritten(self) -> list[Row]:
        """What the server has not taken."""
        with self._changed:
            return list(self._rows)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __call__(self, values: dict[str, float], step: int) -> None:
        """Queue metrics of a step."""
        with self._changed:
            self._rows.append((dict(values), step))
            self._changed.notify()
            if self._error is not None:
                raise self._error
        self._tell("training goes on")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if error is not None:
            self._stopped.set()
            self._thread.join(_LAST_WORDS_S)
            return
        while self._thread.is_alive():
            self._thread.join(_LAST_WORDS_S)
            self._tell("training is over and waits")
        if self._error is not None:
            raise self._error

    def _write_all(self) -> None:
        while (row := self._next()) is not None:
            try:
                self._write(*row)
            except Exception as error:  # told where the caller can do something about it
                with self._changed:
                    self._error = error
                return
            with self._changed:
                self._rows.popleft()
                self._tried = None
                if self._told and not self._rows:
                    self._told = False
                    say("MLflow answers again: all metrics that were held are written")

    def _next(self) -> Row | None:
        """The oldest row, when there is one; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._rows or self._closed)
            if not self._rows or self._stopped.is_set():
                return None
            self._tried = time.monotonic()
            return self._rows[0]

    def _write(self, values: dict[str, float], step: int) -> None:
        started, pause = time.monotonic(), _FIRST_PAUSE_S
        while True:
            try:
                return self._log(values, step)
            except Exception as error:
                gone = time.monotonic() - started
                if not _is_away(error) or gone > self._patience_s or self._stopped.is_set():
                    raise
            self._stopped.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _tell(self, meanwhile: str) -> None:
        """One line a time that the server is away."""
        with self._changed:
            gone = time.monotonic() - self._tried if self._tried is not None else 0.0
            if self._told or gone < _WORTH_A_WORD_S or self._error is not None:
                return
            self._told = True
        say(
            f"MLflow has not taken metrics for {gone:.0f} s: {meanwhile}, and holds them for "
            f"{self._patience_s:.0f} s ({PATIENCE})"
        )


@contextlib.contextmanager
def lasting_log(
    log: LogMetrics, checkpoints: Checkpoints, *, first_step: int
) -> Iterator[MetricsQueue]:
    """A queue for a run that may fail and go on.

    What the server has not taken when the block fails stays beside the checkpoints, and the run
    that goes on there writes it first.

    Args:
        log: Called with metrics and a step.
        checkpoints: Of the run's recipe.
        first_step: Steps done; those after it will be done, and told, again.
    """
    queue = MetricsQueue(log, patience_s=patience_s())
    for values, step in checkpoints.kept_metrics():
        if step <= first_step:
            queue(values, step)
    try:
        with queue:
            yield queue
    except BaseException:
        with contextlib.suppress(StorageError):  # the first error is the one to tell
            checkpoints.keep_metrics(queue.unwritten)
        raise


def _is_away(error: Exception) -> bool:
    """Whether MLflow's exception says that waiting may help."""
    status = getattr(error, "get_http_status_code", None)
    return status is not None and status() in _AWAY
