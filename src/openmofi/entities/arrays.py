"""Arrays and tables of a knowledge base, mapped from their files."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.errors import InputError

_MAGIC = b"\x93NUMPY\x01\x00"
_SHAPE = rb"\((\d{1,18}),(?: (\d{1,18}))?\)"
_HEADER = re.compile(
    rb"\{'descr': '([<|][uif][1248])', 'fortran_order': False, 'shape': " + _SHAPE + rb", \} *\n"
)


def map_array(path: Path, types: Sequence[str], columns: int = 0) -> npt.NDArray[Any]:
    """The array in a ``.npy`` file; pages are read when needed and shared between processes.

    Args:
        path: The file.
        types: Element types that it may have, such as ``u4``.
        columns: Of a table; 0 for an array of one dimension.

    Raises:
        InputError: The file is missing, cut short, or not such an array.
    """
    try:
        dtype, shape, begin = _read_header(path)
        if dtype not in map(np.dtype, types) or shape[1:] != ((columns,) if columns else ()):
            raise ValueError(f"it holds {dtype.str} of shape {shape}")
        if not math.prod(shape):
            return np.frombuffer(b"", dtype).reshape(shape)
        # As a plain array: np.memmap is slow to index, and the pages stay mapped all the same.
        return np.asarray(np.memmap(path, dtype, "r", begin, shape))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is missing or damaged ({reason}); build it again") from None


def _read_header(path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Element type, shape and first byte of the data, as `np.save` writes them.

    numpy's own reader evaluates the header as Python, and fails in many ways when it is damaged.
    """
    with path.open("rb") as file:
        head = file.read(10)
        found = _HEADER.fullmatch(file.read(int.from_bytes(head[8:], "little")))
        begin, size = file.tell(), file.seek(0, 2)
    if head[:8] != _MAGIC or found is None:
        raise ValueError("it is no array")
    dtype = np.dtype(found[1].decode())
    shape = tuple(int(length) for length in found.groups()[1:] if length is not None)
    if begin % 64 or begin + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"it has {size} bytes, which do not fit its shape {shape}")
    return dtype, shape, begin


def map_table(path: Path, schema: pa.Schema) -> pa.Table:
    """The table in an Arrow file of one record batch; pages are read when needed and shared.

    Raises:
        InputError: The file is missing, cut short, or not such a table.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if table.schema != schema or any(len(column.chunks) != 1 for column in table.columns):
            raise ValueError("it is another table")
        table.validate()  # offsets' ends against the buffers, without reading all of them
        if any(column.null_count for column in table.columns):
            raise ValueError("a value is missing")
    except (OSError, ValueError, MemoryError) as error:  # pa.ArrowInvalid is a ValueError
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is missing or damaged ({reason}); build it again") from None
    return table


class Strings(Sequence[str]):
    """A column of strings of a mapped table, each of them checked when it is read.

    Arrow trusts the offsets in a file; a damaged one would be read far outside it.

    Args:
        column: Of `map_table`.
        name: What a message calls it.
    """

    def __init__(self, column: pa.ChunkedArray, name: str) -> None:
        self._column, self._name = column.chunk(0), name
        self._starts = np.zeros(1, np.int64)
        if len(self._column):
            begin = 8 * self._column.offset
            buffer = self._column.buffers()[1]
            self._starts = np.frombuffer(buffer, np.int64, len(self._column) + 1, begin)
        self._data = self._column.buffers()[2]
        self._size = self._data.size if self._data else 0

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        if not 0 <= row < len(self):
            raise IndexError(row)
        begin, end = self._starts[row : row + 2].tolist()
        if not 0 <= begin <= end <= self._size:
            raise self._damaged("an offset points outside")
        try:
            return self._data[begin:end].to_pybytes().decode() if end else ""
        except UnicodeDecodeError:
            raise self._damaged("a string is garbled") from None

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> pa.Array:
        """The strings of some rows.

        Raises:
            InputError: There is no such row, or the file is damaged there.
        """
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise self._damaged("a row is missing")
        begins, ends = self._starts[rows], self._starts[rows + 1]
        if not bool(((begins >= 0) & (begins <= ends) & (ends <= self._size)).all()):
            raise self._damaged("an offset points outside")
        taken = self._column.take(pa.array(rows))
        try:
            taken.validate(full=True)  # that they are UTF-8
        except pa.ArrowInvalid:
            raise self._damaged("a string is garbled") from None
        return taken

    def _damaged(self, reason: str) -> InputError:
        return InputError(f"{self._name} is damaged ({reason}); build the knowledge base again")


def write_table(path: Path, table: pa.Table) -> None:
    """Write the file that `map_table` maps: one batch, not compressed."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


class ArrayWriter:
    """A ``.npy`` file of one dimension that grows piece by piece.

    numpy leaves room in the header for the length, which is written last.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._length = 0
        self._file = path.open("wb")
        self._write_header()

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def append(self, piece: npt.NDArray[Any]) -> None:
        """Write more elements."""
        self._file.write(np.ascontiguousarray(piece, self._dtype).data)
        self._length += len(piece)

    def _write_header(self) -> None:
        descr = np.lib.format.dtype_to_descr(self._dtype)
        head = {"descr": descr, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, head)
