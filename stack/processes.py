"""Servers that outlive the command that starts them, and how they are found again.

A server leads a session of its own; ``run/NAME.pid`` holds its process id and start time. /proc
tells what is left of it. So a number that another program has by now is not taken for ours.
"""

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARK = "OPENMOFI_STACK"
_STOP_S = 30


def start(
    folder: Path,
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    account: pwd.struct_passwd | None = None,
) -> None:
    """Start a server in the background; its output goes to ``logs/NAME.log``.

    Args:
        folder: The stack's.
        name: Of the server.
        command: Holds no secret: everyone can read it.
        environment: All of it; nothing of the caller's is passed on but ``PATH`` and ``LANG``.
        account: Whom it runs as, if not as the caller.
    """
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    log = os.open(folder / "logs" / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, "HOME": str(folder), **environment, MARK: f"{folder}/{name}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            **run_as(account),
        )
    finally:
        os.close(log)
    process.returncode = 0  # it is init's child soon; no warning that it still runs
    stat = _stat(process.pid)
    started = stat[2] if stat else ""
    (folder / "run" / f"{name}.pid").write_text(f"{process.pid} {started}\n")


def run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Options of `subprocess` for a command of another account, with none of our groups."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def running(folder: Path, name: str) -> bool:
    """Whether the server's own process is there; what it has left behind does not count."""
    leader, started = _recorded(folder, name)
    stat = _stat(leader)
    return stat is not None and stat[0] != "Z" and stat[2] == started


def processes(folder: Path, name: str) -> list[int]:
    """The ids of the server's process and of those it started, also when it is dead itself."""
    return sorted({*_session(folder, name), *_working_in(folder / name)})


def stop(folder: Path, name: str, how: int = signal.SIGTERM) -> None:
    """End the server and all it has started; kill what has not ended within half a minute."""
    _signal(_session(folder, name), how)
    deadline = time.monotonic() + _STOP_S
    while left := processes(folder, name):
        if time.monotonic() > deadline:
            _signal(left, signal.SIGKILL)
        time.sleep(0.05)
    (folder / "run" / f"{name}.pid").unlink(missing_ok=True)


def _session(folder: Path, name: str) -> list[int]:
    leader, started = _recorded(folder, name)
    found = []
    for pid in _all():
        stat = _stat(pid)
        if stat is None or stat[0] == "Z" or stat[1] != leader:
            continue
        ours = stat[2] == started if pid == leader else _marked(pid, f"{folder}/{name}")
        if ours:
            found.append(pid)
    return found


def _working_in(folder: Path) -> list[int]:
    """PostgreSQL's children lead sessions of their own, and end by themselves, but not at once."""
    found = []
    for pid in _all():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == folder:
                found.append(pid)
    return found


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _signal(pids: Sequence[int], how: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def _recorded(folder: Path, name: str) -> tuple[int, str]:
    try:
        pid, started = (folder / "run" / f"{name}.pid").read_text().split()
        return int(pid), started
    except (OSError, ValueError):  # never started, or killed while it was written
        return 0, ""


def _stat(pid: int) -> tuple[str, int, str] | None:
    """State, session and start time (clock ticks since boot), or ``None`` when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces
    return fields[0], int(fields[3]), fields[19]


def _marked(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
