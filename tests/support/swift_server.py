"""A real S3 server for the tests: OpenStack Swift, which `stack.swift` configures.

One key owns its account, another may do what it is let. The server ends with the process that
started it. By hand: `make stack`.
"""

import contextlib
import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.swift import check_space, free_ports, prepare

ACCESS_KEY = "demo:openmofi"  # Swift's s3api takes "account:user"
SECRET_KEY = "local-tests-only"
READER_KEY = "demo:reader"  # may do in a bucket what its ACL says: at first nothing
READER_SECRET = "local-tests-read"
BUCKET = "openmofi"

_START_S = 30
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class SwiftServer:
    """A running server: its address, and the environment that leads a client to it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "OPENMOFI_S3_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }


@contextlib.contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[SwiftServer]:
    """Serve S3 on a loopback port (0: four free ones are found) with ``folder`` as its disk."""
    check_space(folder)
    ports = [port + i for i in range(4)] if port else free_ports(4)
    users = {ACCESS_KEY: f"{SECRET_KEY} .admin", READER_KEY: READER_SECRET}
    commands = prepare(folder.absolute(), ports, users)
    processes = []
    try:
        for name, command in commands.items():
            log = (folder / f"{name}.log").open("wb")
            processes.append(
                subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent
                )
            )
            log.close()
        _wait_for(ports, processes, folder)
        server = SwiftServer(f"http://127.0.0.1:{ports[0]}")
        make_bucket(server)
        yield server
    finally:
        _stop(processes)


def make_bucket(server: SwiftServer, bucket: str = BUCKET) -> None:
    """Create a bucket unless it is there. The first request may come before Swift is ready."""
    from minio import Minio
    from minio.error import S3Error

    client = Minio(
        endpoint=server.endpoint.removeprefix("http://"),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region="us-east-1",
    )
    deadline = time.monotonic() + _START_S
    while True:
        try:
            if not client.bucket_exists(bucket):
                client.make_bucket(bucket)
            return
        except S3Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _wait_for(
    ports: Sequence[int], processes: Sequence["subprocess.Popen[bytes]"], folder: Path
) -> None:
    deadline = time.monotonic() + _START_S
    for port in ports:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            dead = next((p for p in processes if p.poll() is not None), None)
            if dead is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Swift did not start; see the logs in {folder}")
            time.sleep(0.05)


def _die_with_parent() -> None:
    # A killed test run must not leave servers behind. Linux only, like Swift.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
