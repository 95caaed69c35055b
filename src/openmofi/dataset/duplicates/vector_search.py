"""Which vectors are near each other: blocks of a matrix product, and the same answer every time."""

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

Pairs = npt.NDArray[np.int64]  # [pairs, 2]
Vectors = npt.NDArray[np.float16] | npt.NDArray[np.float32]  # [rows, dim]

# Near rows before it that a row is reported with. The first that stays is what decides; a crowd of
# n rows would have n·n/2 pairs otherwise, and no memory would hold them.
MOST = 32

_BLOCK = 1024  # rows against
_WIDE = 16_384  # rows: 64 MiB of products at once
_VERIFIED = 8192  # pairs computed again at once
# More than a product of 32 bits can be wrong by, for vectors of up to 1600 numbers.
_ROUNDING = 1e-4


class _Rows(NamedTuple):
    """Vectors as they are, and with their lengths divided out."""

    vectors: Vectors
    unit: npt.NDArray[np.float32]


def near_among(vectors: Vectors, cosine: float) -> Pairs:
    """Pairs of rows whose cosine is at least ``cosine``, the smaller row first.

    What a product of 32 bits cannot tell from the bound is computed again with 64, so that the
    answer does not depend on how many threads multiply. Lengths are divided out: two equal vectors
    have the cosine 1, however they were rounded.

    Args:
        vectors: [rows, dim], unit vectors but for rounding. A vector of zeros is near none.
        cosine: Above 0, at most 1.

    Returns:
        [pairs, 2]. For each row, at most its first `MOST` near rows among those before it.
    """
    rows, counts = _rows(vectors), np.zeros(len(vectors), np.int64)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(vectors), _BLOCK):
        for pairs in _near(rows, start, rows, start, cosine):
            found.append(_first(pairs[pairs[:, 0] < pairs[:, 1]], counts))
    return np.concatenate(found)


def near_between(left: Vectors, right: Vectors, cosine: float) -> Pairs:
    """Rows of ``left`` and of ``right`` whose cosine is at least ``cosine``; see `near_among`.

    Returns:
        [pairs, 2]. For each row of ``right``, at most its first `MOST` near rows of ``left``.
    """
    rows, others = _rows(left), _rows(right)
    counts = np.zeros(len(right), np.int64)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(left), _BLOCK):
        found += (_first(pairs, counts) for pairs in _near(rows, start, others, 0, cosine))
    return np.concatenate(found)


def _near(left: _Rows, start: int, right: _Rows, first: int, cosine: float) -> Iterator[Pairs]:
    """Near pairs of a block of ``left`` and the rows of ``right`` from ``first``, in blocks."""
    block = left.unit[start : start + _BLOCK]
    for wide in range(first, len(right.unit), _WIDE):
        products = block @ right.unit[wide : wide + _WIDE].T
        rows, columns = np.nonzero(products >= cosine - _ROUNDING)
        unsure = products[rows, columns] < cosine + _ROUNDING
        pairs = np.stack([rows + start, columns + wide], axis=1)
        near = ~unsure
        near[unsure] = _exact_cosines(left.vectors, right.vectors, pairs[unsure]) >= cosine
        yield pairs[near]


def _first(pairs: Pairs, counts: npt.NDArray[np.int64]) -> Pairs:
    """Those within the first `MOST` of their right row, of which ``counts`` were there before."""
    pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
    rows, starts, numbers = np.unique(pairs[:, 1], return_index=True, return_counts=True)
    place = np.arange(len(pairs)) - np.repeat(starts, numbers) + counts[pairs[:, 1]]
    counts[rows] += numbers
    return pairs[place < MOST]


def _exact_cosines(left: Vectors, right: Vectors, pairs: Pairs) -> npt.NDArray[np.float64]:
    cosines = np.empty(len(pairs))
    for start in range(0, len(pairs), _VERIFIED):
        part = pairs[start : start + _VERIFIED]
        one = left[part[:, 0]].astype(np.float64)
        other = right[part[:, 1]].astype(np.float64)
        squares = np.einsum("pd,pd->p", one, one) * np.einsum("pd,pd->p", other, other)
        cosines[start : start + _VERIFIED] = np.einsum("pd,pd->p", one, other) / np.sqrt(squares)
    return cosines


def _rows(vectors: Vectors) -> _Rows:
    values = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", values, values))
    lengths[lengths == 0] = 1
    return _Rows(vectors, cast("npt.NDArray[np.float32]", values / lengths[:, None]))
