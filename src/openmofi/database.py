"""A database for one step's work: joins and sorts that may outgrow the memory."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pydantic import Field

from openmofi.config import Section
from openmofi.errors import StorageError
from openmofi.workers import usable_cores

# In messages of the system, which DuckDB passes on; its own, and numpy's of an unfinished file.
_FULL = (
    *map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
    "max_temp_directory_size",
    "requested and",
)


class Resources(Section):
    """What a step may take of its machine. It never changes a result, and is in no recipe."""

    # As DuckDB writes it: 4GB, 512MiB. Empty: half of what machine and container allow. It bounds
    # the database; what Python and numpy hold beside it comes on top.
    memory: str = Field("", pattern=r"^(\d+(\.\d+)?\s*([KMGT]i?)?B)?$")
    threads: int | None = Field(None, ge=1)  # of the database; null: the cores at hand
    temporary_bytes: int | None = Field(None, ge=0)  # what may be spilled; null: what the disk has


@contextlib.contextmanager
def working_database(
    purpose: str, resources: Resources | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory that spills to the folder for temporary files.

    What was spilled is removed afterwards.

    Args:
        purpose: Names the step in messages and in the folder's name.
        resources: What it may take; None: the defaults.

    Raises:
        StorageError: Memory or disk had no room for what was done in the block.
    """
    given = resources or Resources()
    with (
        _told(purpose, given),
        tempfile.TemporaryDirectory(prefix=f"openmofi-{purpose}-") as folder,
        # Not a file: tables would be written there whether they fit into memory or not, past the
        # limit of what may be spilled.
        contextlib.closing(duckdb.connect()) as database,
    ):
        database.execute(f"SET temp_directory = '{folder}/spill'")
        database.execute(f"SET memory_limit = '{given.memory or _half_of_memory()}'")
        database.execute(f"SET threads = {given.threads or usable_cores()}")
        if given.temporary_bytes is not None:
            database.execute(f"SET max_temp_directory_size = '{given.temporary_bytes}B'")
        yield database


def first_row(
    database: duckdb.DuckDBPyConnection, query: str, parameters: Any = None
) -> tuple[Any, ...] | None:
    """The first row of a result, and none left over: the connection is free again."""
    rows = database.execute(query, parameters).fetchall()
    return tuple(rows[0]) if rows else None


@contextlib.contextmanager
def registered(database: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Let the queries of a block read a table in memory by a name, until it ends well."""
    database.register(name, table)
    yield
    database.unregister(name)


def memory_bytes(
    groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> int:
    """Memory that this process can have: the machine's, within every limit of its containers.

    Args:
        groups: Says in which control groups the process is.
        root: Where control groups lie, of version 2 or 1.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError):  # no Linux
        for line in groups.read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if not controllers:
                limits += _limits(root, place, "memory.max")
            elif "memory" in controllers.split(","):
                limits += _limits(root / "memory", place, "memory.limit_in_bytes")
    return min(limits)


def _limits(root: Path, place: str, name: str) -> Iterator[int]:
    """Those of a group and of all above it. A container may see its own group as the root."""
    folder = root / place.lstrip("/")
    for one in (folder, *folder.parents):
        if one.is_relative_to(root):
            with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                yield int((one / name).read_text())


def _half_of_memory() -> str:
    return f"{memory_bytes() // 2}B"


@contextlib.contextmanager
def _told(purpose: str, given: Resources) -> Iterator[None]:
    """Errors of disk and memory as one line that says what helps; bugs stay what they are."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if _is_full(error) or isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
            raise StorageError(_message(purpose, given, error)) from error
        raise


def _is_full(error: Exception) -> bool:
    return any(words in str(error) for words in _FULL)


def _message(purpose: str, given: Resources, error: Exception) -> str:
    folder, first = tempfile.gettempdir(), str(error).split("\n", 1)[0].rstrip(".")
    if _is_full(error):
        bound = given.temporary_bytes
        wider = "" if bound is None else f", resources.temporary_bytes {bound} can be raised"
        return (
            f"{purpose}: no room for temporary files in {folder}: {first}; TMPDIR can name another "
            f"disk{wider}"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return (
            f"{purpose}: the database needs more memory than {given.memory or _half_of_memory()}: "
            f"{first}; raise resources.memory, or lower resources.threads"
        )
    return f"{purpose}: temporary files in {folder} cannot be used: {first}; see TMPDIR"
