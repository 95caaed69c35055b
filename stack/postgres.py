"""A PostgreSQL cluster of its own for MLflow, from Debian's binaries: loopback, TCP, passwords."""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openmofi.errors import InputError
from stack.processes import run_as
from stack.secret_files import write_secretly

SUPERUSER, ROLE, DATABASE = "postgres", "mlflow", "mlflow"
_INSTALLED = Path("/usr/lib/postgresql")
_UNPRIVILEGED = "postgres"  # of Debian's package; the server refuses to run as root


def binaries() -> Path:
    """The folder of the newest PostgreSQL that Debian has installed here."""
    found = [path.parent for path in _INSTALLED.glob("*/bin/initdb") if path.parts[-3].isdigit()]
    if not found:
        raise InputError(
            f"no PostgreSQL server under {_INSTALLED}; install it: apt-get install postgresql"
        )
    return max(found, key=lambda path: int(path.parts[-2]))


def server_account() -> pwd.struct_passwd | None:
    """Whom PostgreSQL must run as: ``None`` for the caller, unless that is root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise InputError(
            f"PostgreSQL does not run as root, and there is no user {_UNPRIVILEGED!r}; "
            "install Debian's package, or run as another user"
        ) from None


def create(data: Path, password: str) -> None:
    """Make the cluster unless it is there. What a killed `create` has left is made anew."""
    if data.is_dir():
        return
    account = server_account()
    new = data.with_name(f"{data.name}.creating")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    file = data.with_name("creating.password")
    write_secretly(file, password)
    for path in (new, file):
        if account:
            os.chown(path, account.pw_uid, account.pw_gid)
    try:
        _initialise(new, file, account)
    finally:
        file.unlink()
    new.rename(data)


def _initialise(data: Path, password: Path, account: pwd.struct_passwd | None) -> None:
    made = subprocess.run(
        [
            str(binaries() / "initdb"), "--pgdata", str(data), "--username", SUPERUSER,
            "--pwfile", str(password), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
        ],
        cwd="/",
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        **run_as(account),
    )  # fmt: skip
    if made.returncode:
        reason = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(
            f"PostgreSQL cannot use {data}: {reason}; the folders above it must be open to "
            f"{account.pw_name if account else 'you'} (chmod o+x)"
        )


def open_stale_lock(data: Path) -> None:
    """Let a server start that was killed, once nothing works in its folder.

    Its lock names a process that may be a zombie or another program by now, and PostgreSQL would
    refuse. One of its parent, which this is, it takes for stale, and clears what the lock names.
    """
    lock = data / "postmaster.pid"
    if lock.is_file():
        lines = lock.read_text().splitlines(keepends=True)
        lock.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))


def command(data: Path, port: int) -> list[str]:
    """Starts the server. No socket file: nothing outside of the stack's folder is written."""
    return [
        str(binaries() / "postgres"), "-D", str(data), "-p", str(port),
        "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
        "-c", "dynamic_shared_memory_type=mmap", "-c", "max_connections=40",
        "-c", "shared_buffers=32MB",
    ]  # fmt: skip


def answers(port: int, role: str, password: str, database: str) -> bool:
    """Whether it takes a login and answers a query."""
    import psycopg2

    try:
        with _connection(port, role, password, database) as connection:
            connection.cursor().execute("SELECT 1")
    except psycopg2.OperationalError:
        return False
    return True


def seed(port: int, superuser_password: str, role_password: str) -> None:
    """Make MLflow's role, which owns its database and may do nothing else. May be repeated."""
    import psycopg2
    from psycopg2.extensions import encrypt_password

    with _connection(port, SUPERUSER, superuser_password, "postgres") as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        # Encrypted here, so that no statement in a log holds the password.
        verifier = encrypt_password(role_password, ROLE, connection, "scram-sha-256")
        with contextlib.suppress(psycopg2.errors.DuplicateObject):
            cursor.execute(f"CREATE ROLE {ROLE} LOGIN")
        cursor.execute(f"ALTER ROLE {ROLE} PASSWORD %s", (verifier,))
        with contextlib.suppress(psycopg2.errors.DuplicateDatabase):
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
        for database in (DATABASE, "postgres", "template1"):
            cursor.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")


@contextlib.contextmanager
def _connection(port: int, role: str, password: str, database: str) -> Iterator[Any]:
    import psycopg2

    connection = psycopg2.connect(
        host="127.0.0.1",
        port=port,
        user=role,
        password=password,
        dbname=database,
        connect_timeout=5,
    )
    try:
        yield connection
    finally:
        connection.close()
