"""A stack of servers with a proxy before each, to kill, start again and fail on command."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack import services, settings
from support.fault_proxy import FaultProxy, proxying

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Servers:
    """A stack, and a proxy before each of its two."""

    stack: settings.Stack
    s3: FaultProxy
    mlflow: FaultProxy

    def kill(self, service: str) -> None:
        """SIGKILL to all processes of a service."""
        for pid in services.pids(self.stack, service):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

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


@contextlib.contextmanager
def servers(folder: Path, *ports: str) -> Iterator[Servers]:
    """A stack in ``folder``, removed at the end; the environment leads to it meanwhile."""
    before = dict(os.environ)
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


def free_port_options() -> list[str]:
    """Ports that nobody has, as options of ``python -m stack up``.

    Below those that a system gives to clients, which could take one before the stack does.
    """
    while True:
        s3 = random.randrange(20000, 32000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(s3, s3 + 6):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return [f"--s3-port={s3}", f"--mlflow-port={s3 + 4}", f"--postgres-port={s3 + 5}"]


def run_stack(command: str, folder: Path, *options: str) -> None:
    """``python -m stack …``, which must end well."""
    call = [sys.executable, "-m", "stack", command, "--folder", str(folder), *options]
    done = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
