"""The stack's own commands for tests: a folder for it, ports that nobody has, what it lacks."""

import contextlib
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmofi.errors import InputError
from stack import services

REPOSITORY = Path(__file__).parents[2]


def lacking() -> str:
    """Why no stack can be started here; empty if one can."""
    try:
        services.check_installed()
    except InputError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def stack_folder() -> Iterator[Path]:
    """A folder to put a stack into; the test is skipped where none can be started."""
    if lacking():
        pytest.skip(lacking())
    # Not pytest's folder, which is closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="openmofi-stack-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def ports_in_a_row(count: int) -> range:
    """Ports in a row that nobody has.

    Below those that a system gives to clients, which could take one before a server does.
    """
    while True:
        first = random.randrange(20000, 32000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return range(first, first + count)


def port_options() -> list[str]:
    """Free ports, as options of ``python -m stack up``."""
    s3, *_, mlflow, postgres = ports_in_a_row(6)
    return [f"--s3-port={s3}", f"--mlflow-port={mlflow}", f"--postgres-port={postgres}"]


def run_stack(command: str, folder: Path, *options: str) -> None:
    """``python -m stack …``, which must end well."""
    call = [sys.executable, "-m", "stack", command, "--folder", str(folder), *options]
    done = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
