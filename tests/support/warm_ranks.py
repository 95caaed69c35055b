"""Ranks forked from a process that has torch: to import it takes each longer than to train."""

import contextlib
import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.multiprocessing import start_processes

_HANDLED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")  # by torchrun's agent


@contextlib.contextmanager
def forked_with(*modules: str) -> Iterator[None]:
    """Let the processes of this block begin where these modules are imported already."""
    server = forkserver._forkserver
    server._stop()  # one that others have started would have other modules
    multiprocessing.set_forkserver_preload(list(modules))
    try:
        yield
    finally:
        server._stop()
        multiprocessing.set_forkserver_preload(["__main__"])  # Python's own


def launch(main: Callable[..., None], ranks: int, *arguments: Any) -> None:
    """Call ``main(*arguments)`` in so many processes, in the environment that torchrun makes.

    Its agent runs in this process, which needs no import for it either.

    Raises:
        ChildFailedError: One of them failed; its traceback is on stderr.
    """
    handlers = {name: signal.getsignal(getattr(signal, name)) for name in _HANDLED}
    try:
        with tempfile.TemporaryDirectory() as logs:
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=ranks,
                run_id="ranks",
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                max_restarts=0,
                start_method="forkserver",
                logs_specs=DefaultLogsSpecs(log_dir=logs),
            )
            elastic_launch(config, main)(*arguments)
    finally:
        for name, handler in handlers.items():
            signal.signal(getattr(signal, name), handler)


def start(main: Callable[..., None], ranks: int, *arguments: Any) -> None:
    """Call ``main(rank, *arguments)`` in so many processes, which find each other by themselves."""
    start_processes(main, arguments, nprocs=ranks, start_method="forkserver")
