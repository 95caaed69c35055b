"""Arrays and tables of a knowledge base, mapped from their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.errors import InputError


def map_array(path: Path, types: Sequence[str] = ()) -> npt.NDArray[Any]:
    """The array in a ``.npy`` file; pages are read when needed and shared between processes.

    Args:
        path: The file.
        types: Element types that it may have, such as ``u4``; any if empty.

    Raises:
        InputError: The file is missing, cut short, or not such an array.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, OverflowError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is missing or cut short ({reason}); build it again") from None
    if types and (mapped.dtype not in map(np.dtype, types)):
        raise InputError(f"{path} is damaged (it holds {mapped.dtype.str}); build it again")
    # As a plain array: np.memmap is slow to index, and the pages stay mapped all the same.
    return np.asarray(mapped)


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
    except (OSError, ValueError, MemoryError) as error:  # pa.ArrowInvalid is a ValueError
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is missing or damaged ({reason}); build it again") from None
    return table


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
