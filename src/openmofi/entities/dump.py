"""A large dump of lines, plain or compressed, as blocks of whole lines in bounded memory.

Nothing here knows what the lines hold. Where a block ends depends on the decompressed bytes alone,
so a dump gives the same blocks however it is compressed.
"""

import bz2
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from openmofi.errors import InputError

_READ = 1 << 16  # compressed bytes at a time
_PIECE = 1 << 20  # decompressed bytes at a time
_AGAIN = "download it again"


@dataclass(frozen=True)
class Block:
    """Whole lines, one after the other.

    Args:
        number: From 0.
        first_line: Number of its first line in the file, from 1.
        data: The lines with their line ends; only a file's last line may lack it.
    """

    number: int
    first_line: int
    data: bytes


class _Gunzip:
    """``zlib`` with the methods of ``bz2.BZ2Decompressor``."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail or data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._decoder.eof and not self._decoder.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data


_Decoder = _Gunzip | bz2.BZ2Decompressor
_KINDS: dict[bytes, tuple[str, Callable[[], _Decoder]]] = {
    b"\x1f\x8b": ("gzip", _Gunzip),
    b"BZ": ("bzip2", bz2.BZ2Decompressor),
}


def _ignore(count: int) -> None:
    """Nobody watches."""


def read_blocks(
    path: Path,
    *,
    block_bytes: int = 32 << 20,
    max_line: int = 64 << 20,
    advance: Callable[[int], None] = _ignore,
) -> Iterator[Block]:
    """Stream a file of lines: gzip, bzip2 or plain, told apart by its first bytes.

    Several gzip members or bzip2 streams one after the other are one file. A block ends with the
    first line that makes it ``block_bytes`` or longer.

    Args:
        path: The dump.
        block_bytes: Least size of every block but the last, decompressed.
        max_line: Bytes that a line may have; with ``block_bytes`` it bounds the memory.
        advance: Told how many bytes of the file were read since it was last called.

    Raises:
        InputError: The file is missing, empty, cut short or damaged, or a line is too long.
    """
    number, first_line = 0, 1
    held = io.BytesIO()  # its getvalue() hands over its buffer, where a join would double it
    size = min(_PIECE, max_line)
    for piece in _with_short_lines(_pieces(path, size, advance), path, max_line):
        start = 0
        while end := piece.find(b"\n", start + max(0, block_bytes - 1 - held.tell())) + 1:
            held.write(memoryview(piece)[start:end])
            data = held.getvalue()
            held = io.BytesIO()
            start = end
            yield Block(number, first_line, data)
            number, first_line = number + 1, first_line + data.count(b"\n")
        held.write(memoryview(piece)[start:])
    if held.tell():
        yield Block(number, first_line, held.getvalue())
    elif not number:
        raise InputError(f"{path} is empty; {_AGAIN}")


def _with_short_lines(pieces: Iterator[bytes], path: Path, max_line: int) -> Iterator[bytes]:
    """The pieces, none of them longer than ``max_line``, until a line is longer than that."""
    line, length = 1, 0  # of the line that the next piece goes on with
    for piece in pieces:
        end = piece.find(b"\n")
        if length + (len(piece) if end < 0 else end) > max_line:
            break
        if end < 0:
            length += len(piece)
        else:
            line += piece.count(b"\n")
            length = len(piece) - 1 - piece.rfind(b"\n")
        yield piece
    else:
        return
    raise InputError(
        f"{path}, line {line} is longer than {max_line} bytes; is it a dump with an entity a line?"
    )


def _pieces(path: Path, size: int, advance: Callable[[int], None]) -> Iterator[bytes]:
    """Decompressed bytes, at most ``size`` at a time, never none."""
    if not path.is_file():
        raise InputError(f"dump not found: {path}")
    try:
        with path.open("rb") as file:
            magic = file.read(2)
            file.seek(0)
            chunks = _chunks(file, _READ if magic in _KINDS else size, advance)
            yield from (
                _decompressed(chunks, path, *_KINDS[magic], size) if magic in _KINDS else chunks
            )
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _chunks(file: BinaryIO, size: int, advance: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := file.read(size):
        advance(len(chunk))
        yield chunk


def _decompressed(
    chunks: Iterator[bytes], path: Path, kind: str, make: Callable[[], _Decoder], size: int
) -> Iterator[bytes]:
    decoder = make()
    for chunk in chunks:
        data = chunk
        while data or not (decoder.needs_input or decoder.eof):
            if decoder.eof:
                # Zeros that fill a tape's last block are allowed, as gzip allows them.
                if data := data.lstrip(b"\0"):
                    decoder = make()
                continue
            try:
                piece = decoder.decompress(data, size)
            except (zlib.error, OSError) as error:
                raise InputError(f"{path} is damaged: its {kind} data: {error}; {_AGAIN}") from None
            data = decoder.unused_data
            if piece:
                yield piece
    if not decoder.eof:
        raise InputError(f"{path} is cut short: its {kind} data ends early; {_AGAIN}")
