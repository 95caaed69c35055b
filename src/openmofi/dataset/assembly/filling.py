"""Rows into a table of the working database, many at a time: an insert costs more than its rows."""

import duckdb
import pyarrow as pa

from openmofi.database import registered

_ROWS = 500_000


class Filling:
    """Blocks of rows that wait for the next insert. Leaving the block of ``with`` inserts the rest.

    Args:
        database: With the table.
        table: Its name; the blocks have its columns.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, table: str) -> None:
        self._database, self._table = database, table
        self._blocks: list[pa.Table] = []
        self._rows = 0

    def __enter__(self) -> "Filling":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.flush()

    def add(self, block: pa.Table) -> None:
        """Take rows; the table may have them only later."""
        self._blocks.append(block)
        self._rows += block.num_rows
        if self._rows >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Insert what waits."""
        if self._rows:
            with registered(self._database, "filling", pa.concat_tables(self._blocks)):
                self._database.execute(f"INSERT INTO {self._table} BY NAME SELECT * FROM filling")
        self._blocks, self._rows = [], 0
