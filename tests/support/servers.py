"""A stack of servers with a proxy before each, to kill, start again and fail on command."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack import services, settings
from support.fault_proxy import FaultProxy, proxying
from support.stacks import run_stack


@dataclass
class Servers:
    """A stack, and a proxy before each of its two."""

    stack: settings.Stack
    s3: FaultProxy
    mlflow: FaultProxy

    def kill(self, service: str) -> None:
        """SIGKILL to all processes of a service, which then answers no more."""
        for pid in services.pids(self.stack, service):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        port = int(getattr(self.stack.ports, service))
        until = time.monotonic() + 5
        while _listens(port):  # a dead process's sockets are closed a moment later
            assert time.monotonic() < until, f"{service} outlives its killing"
            time.sleep(0.01)

    def start(self) -> None:
        """Start what does not run."""
        run_stack("up", self.stack.folder)

    def environment(self) -> dict[str, str]:
        """What leads a client through the proxies, as the pipeline."""
        return {
            "OPENMOFI_S3_ENDPOINT": self.s3.endpoint,
            "AWS_ACCESS_KEY_ID": settings.PIPELINE,
            "AWS_SECRET_ACCESS_KEY": self.stack.secrets["pipeline"],
            "MLFLOW_TRACKING_URI": self.mlflow.endpoint,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
            "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.1",
            "OPENMOFI_MLFLOW_PATIENCE_S": "3",
        }


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


@contextlib.contextmanager
def servers(folder: Path, *ports: str) -> Iterator[Servers]:
    """A stack in ``folder``, removed at the end; the environment leads to it meanwhile."""
    before = dict(os.environ)
    folder = folder.absolute()  # by which processes are known
    run_stack("up", folder, *ports)
    try:
        stack = settings.load(folder)
        assert stack
        with proxying(stack.s3_endpoint) as s3, proxying(stack.tracking_uri) as mlflow:
            both = Servers(stack, s3, mlflow)
            os.environ.update(both.environment())
            yield both
    finally:
        os.environ.clear()
        os.environ.update(before)
        run_stack("down", folder, "--purge")
