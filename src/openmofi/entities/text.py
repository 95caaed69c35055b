"""Texts as folded tokens whose offsets still point into the original.

A batch of texts becomes one buffer of code points: NFKC and case folded, hyphens, underscores and
white space as single spaces, quotes as ``'``. A stretch of the buffer between two token borders is
the *surface key* of those words: what aliases are compared by.

Word borders follow Unicode's general categories: letters, marks and numbers make words; scripts
written without spaces make one token a character, and so do symbols (``C++``, ``€``).
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.entities import kernels_text as kernels
from openmofi.entities.kernels_hash import Bools, Bytes, Ints, fixed
from openmofi.entities.kernels_text import Slow, TokenArrays
from openmofi.entities.unicode_tables import (
    Codes,
    UnicodeTables,
    fold_cluster,
    ignorable,
    joins,
    kind,
    unicode_tables,
)

MAX_KEY_BYTES = 0x7FFF  # of a surface key in UTF-8; a character has up to 4
_BATCH = 20_000  # texts folded at a time
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Tokens:
    """A batch of texts as tokens over one buffer of folded code points."""

    codes: Codes  # [characters] the buffer
    starts: Ints  # [tokens] where each token begins in the buffer
    ends: Ints  # [tokens] where it ends
    texts: Ints  # [tokens] which text it is in
    first: Ints  # [tokens] where it begins in its original text, in code points
    last: Ints  # [tokens] where it ends there
    may_start: Bools  # [tokens] a mention may begin with it
    may_end: Bools  # [tokens] a mention may end with it

    @property
    def arrays(self) -> TokenArrays:
        """The same for compiled functions."""
        return TokenArrays(*(getattr(self, name) for name in TokenArrays._fields))

    @functools.cached_property
    def buffer(self) -> str:
        """The buffer as a string, for slicing surface keys."""
        return self.codes.tobytes().decode("utf-32-le", "surrogatepass")

    def key(self, first: int, last: int) -> str:
        """Surface key of the tokens ``first`` to ``last``, the last one included."""
        return self.buffer[self.starts[first] : self.ends[last]]


def tokenize(texts: Sequence[str] | pa.Array, tables: UnicodeTables | None = None) -> Tokens:
    """Fold and cut a batch of texts.

    Args:
        texts: Strings, or an Arrow array of them, which is read where it lies; null is empty.
        tables: Of another Unicode version than this Python's, as a knowledge base keeps them.
    """
    tables = tables or unicode_tables()
    column = texts if isinstance(texts, pa.Array) else text_array(texts)
    data, offsets = string_buffers(column)
    marked = np.zeros(len(column), np.bool_)
    characters, longest = kernels.survey(data, offsets, tables, marked)
    slow = _fold_slowly(data, offsets, marked)
    characters += len(slow.codes)
    arrays = kernels.tokenize(data, offsets, tables, slow, characters, longest)
    return Tokens(*arrays)


def surface_key(text: str, tables: UnicodeTables | None = None) -> str:
    """The key by which ``text`` is found as a whole; empty if it has no word."""
    tokens = tokenize([text], tables)
    return tokens.key(0, len(tokens.starts) - 1) if len(tokens.starts) else ""


def surface_keys(texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Surface key and number of tokens of each text."""
    for begin in range(0, len(texts), _BATCH):
        batch = texts[begin : begin + _BATCH]
        tokens = tokenize(batch)
        count = np.bincount(tokens.texts, minlength=len(batch))
        first = np.cumsum(count) - count
        for start, length in zip(first.tolist(), count.tolist(), strict=True):
            yield (tokens.key(start, start + length - 1) if length else ""), length


def text_array(texts: Sequence[str]) -> pa.Array:
    """Strings as Arrow; halves of surrogate pairs, which UTF-8 cannot hold, become U+FFFF."""
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([SURROGATE.sub("\uffff", text) for text in texts], pa.large_string())


def string_buffers(column: pa.Array) -> tuple[npt.NDArray[np.uint8], Ints]:
    """UTF-8 bytes of a column, where they lie, and where each text begins in them."""
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        column = column.cast(pa.large_string())
    if column.null_count:
        column = column.fill_null("")
    _, offsets, data = column.buffers()
    width = np.dtype(np.int64 if pa.types.is_large_string(column.type) else np.int32)
    if offsets is None or data is None or not len(column):
        return np.frombuffer(b"", np.uint8), fixed(np.zeros(len(column) + 1, np.int64))
    begins = np.frombuffer(offsets, width, len(column) + 1, column.offset * width.itemsize)
    return np.frombuffer(data, np.uint8), fixed(begins.astype(np.int64, copy=False))


def _fold_slowly(data: Bytes, offsets: Ints, marked: Bools) -> Slow:
    """The marked texts, cluster by cluster."""
    codes: list[int] = []
    begins: list[int] = []
    finishes: list[int] = []
    starts = np.zeros(len(marked) + 1, np.int64)
    for row in np.flatnonzero(marked).tolist():
        before = len(codes)
        points = kernels.code_points(data, offsets[row], offsets[row + 1])
        text = points.tobytes().decode("utf-32-le", "surrogatepass")
        for begin, end in _clusters(text):
            for folded, first, last in _pieces(text, begin, end):
                codes.extend(map(ord, folded))
                begins.extend([first] * len(folded))
                finishes.extend([last] * len(folded))
                if not folded and joins(text[first]) and len(codes) > before:
                    finishes[-1] = last  # a variation selector goes with its character
        starts[row + 1] = len(codes)
    np.maximum.accumulate(starts, out=starts)
    kinds = [kind(chr(code)) for code in codes]
    return Slow(
        marked, starts, np.array(codes, np.uint32), np.array(kinds, np.uint8),
        np.array(begins, np.int64), np.array(finishes, np.int64),
    )  # fmt: skip


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Where a character begins and where the last one that joins it ends."""
    begin = 0
    while begin < len(text):
        after = end = begin + 1
        while after < len(text) and (joins(text[after]) or ignorable(text[after])):
            after += 1
            if joins(text[after - 1]):
                end = after
        yield begin, end
        begin = after


def _pieces(text: str, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    """A cluster folded, and which characters of the text each part stands for.

    Where nothing composes or is sorted, each character keeps its own place, as in a text that is
    not folded here.
    """
    folded = fold_cluster(text[begin:end])
    if end == begin + 1:
        yield folded, begin, end
        return
    alone = [fold_cluster(character) for character in text[begin:end]]
    if folded != "".join(alone):
        yield folded, begin, end
        return
    for place, piece in enumerate(alone, begin):
        yield piece, place, place + 1
