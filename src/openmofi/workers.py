"""Run a job over items, here or in worker processes; a bad item never takes the others with it.

Knows nothing of stages. Workers are spawned, set up once, and end with their parent.
"""

import contextlib
import itertools
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, TypeVar

from openmofi.errors import OpenMofiError

ItemT = TypeVar("ItemT")
ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Job(Protocol[ItemT_contra, ResultT_co]):
    """What is done to each item. It is pickled to worker processes before ``setup``."""

    def setup(self) -> None:
        """Load what is loaded once a worker."""

    def run(self, item: ItemT_contra, /) -> ResultT_co:
        """One item's result."""


def run_here(
    job: Job[ItemT, ResultT], items: Iterable[ItemT]
) -> Iterator[tuple[ItemT, ResultT | str]]:
    """Each item with its result, or with the reason in one line why it has none."""
    job.setup()
    for item in items:
        yield item, _attempt(job, item)


def run_in_processes(
    job: Job[ItemT, ResultT], items: Iterable[ItemT], workers: int
) -> Iterator[tuple[ItemT, ResultT | str]]:
    """As `run_here`, in ``workers`` processes, in the order in which items end.

    Items are taken only when a worker will soon be free, so they may be large and many.
    """
    # Spawn, not fork: encoders and detectors start threads that a forked child would lack.
    context = multiprocessing.get_context("spawn")
    remaining = iter(items)
    running: dict[Future[ResultT | str], ItemT] = {}
    with ProcessPoolExecutor(workers, context, _start_worker, (job, os.getpid())) as pool:
        with one_thread_each():  # the first item starts all processes
            for item in itertools.islice(remaining, 2 * workers):
                running[pool.submit(_attempt_in_worker, item)] = item
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                item = running.pop(future)
                for following in itertools.islice(remaining, 1):
                    running[_submit(pool, following)] = following
                yield item, _result(future)


def _submit(pool: ProcessPoolExecutor, item: Any) -> "Future[Any]":
    try:
        return pool.submit(_attempt_in_worker, item)
    except BrokenProcessPool as error:  # as if it had been running
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _result(future: "Future[ResultT | str]") -> ResultT | str:
    try:
        return future.result()
    except BrokenProcessPool:
        return "a worker process was killed (out of memory?)"


def usable_cores() -> int:
    """Cores that this process may use: what it is bound to, within the container's quota.

    ``os.cpu_count`` counts the node's, also in a pod that is limited to two of them.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        allowed = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no cgroup v2, or no quota ("max")
        return bound or 1
    return max(1, min(bound or 1, allowed))


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started in the block compute with one thread, unless the user has said otherwise.

    Numerical libraries take every core by default, and with as many processes as cores their
    threads wait for each other by spinning: six times slower was seen. They read their number when
    they are loaded, so a worker cannot set it for itself.
    """
    name = "OMP_NUM_THREADS"
    if name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


def exit_with_parent(parent: int) -> None:
    """End this process when its parent is gone: after a SIGKILL nothing else would."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


_worker_job: Any  # the job, or the reason why its setup failed


def _start_worker(job: Job[Any, Any], parent: int) -> None:
    global _worker_job
    threading.Thread(target=exit_with_parent, args=(parent,), daemon=True).start()
    try:
        job.setup()
        _worker_job = job
    except Exception as error:  # raised here it would only be "broken process pool" to the user
        _worker_job = one_line(error)


def _attempt_in_worker(item: Any) -> Any:
    if isinstance(_worker_job, str):
        return f"the stage could not be set up: {_worker_job}"
    return _attempt(_worker_job, item)


def _attempt(job: Job[ItemT, ResultT], item: ItemT) -> ResultT | str:
    try:
        return job.run(item)
    except Exception as error:  # a bad item must not take the others with it
        return one_line(error)


def one_line(error: Exception) -> str:
    """The reason of a failure as a user reads it."""
    if isinstance(error, OpenMofiError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
