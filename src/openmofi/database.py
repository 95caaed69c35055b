"""A database for one step's work: joins and sorts that may outgrow the memory."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb


@contextlib.contextmanager
def working_database(purpose: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database on disk, removed afterwards; ``purpose`` is part of its folder's name."""
    with tempfile.TemporaryDirectory(prefix=f"openmofi-{purpose}-") as folder:
        database = duckdb.connect(str(Path(folder, "work.duckdb")))
        database.execute(f"SET temp_directory = '{folder}/spill'")
        try:
            yield database
        finally:
            database.close()


def first_row(
    database: duckdb.DuckDBPyConnection, query: str, parameters: Any = None
) -> tuple[Any, ...] | None:
    """The first row of a result, and none left over: the connection is free again."""
    rows = database.execute(query, parameters).fetchall()
    return tuple(rows[0]) if rows else None
