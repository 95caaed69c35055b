"""Compiled: entity vectors, row by row."""

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled
from openmofi.entities.kernels_hash import Int, Ints

LONGEST = 16  # terms of a vector


@compiled
def weigh(
    begin: Int, end: Int, starts: Ints, columns: npt.NDArray[np.int32],
    counts: npt.NDArray[np.float32], lent_starts: Ints, lenders: Ints,
    lent_weights: npt.NDArray[np.float32], idf: npt.NDArray[np.float32],
) -> tuple[Ints, npt.NDArray[np.int32], npt.NDArray[np.float32]]:  # fmt: skip
    """Vectors of the entities ``begin`` to ``end``: own terms and those lent by neighbours.

    Entries of one term are summed, damped by the square root, weighed by idf and scaled to 1; the
    greatest stand first, `LONGEST` of them: the tail of a class with many children says little.

    Returns:
        Length of each vector; columns; values.
    """
    capacity = 0
    for row in range(begin, end):
        capacity += starts[row + 1] - starts[row]
        for i in range(lent_starts[row], lent_starts[row + 1]):
            capacity += starts[lenders[i] + 1] - starts[lenders[i]]
    lengths = np.zeros(end - begin, np.int64)
    out_columns, out_values = np.empty(capacity, np.int32), np.empty(capacity, np.float32)
    written = 0
    for row in range(begin, end):
        size = starts[row + 1] - starts[row]
        for i in range(lent_starts[row], lent_starts[row + 1]):
            size += starts[lenders[i] + 1] - starts[lenders[i]]
        cells, sums = np.empty(size, np.int32), np.empty(size, np.float64)
        count = 0
        for i in range(lent_starts[row] - 1, lent_starts[row + 1]):
            own = i < lent_starts[row]
            giver = row if own else lenders[i]
            for entry in range(starts[giver], starts[giver + 1]):
                cells[count] = columns[entry]
                sums[count] = counts[entry] * (1.0 if own else lent_weights[i])
                count += 1
        order = np.argsort(cells, kind="mergesort")
        first = written
        for place in order:
            if written > first and out_columns[written - 1] == cells[place]:
                out_values[written - 1] += sums[place]
            else:
                out_columns[written], out_values[written] = cells[place], sums[place]
                written += 1
        for i in range(first, written):
            out_values[i] = np.sqrt(out_values[i]) * idf[out_columns[i]]
        order = np.argsort(-out_values[first:written], kind="mergesort")[:LONGEST]
        square = 0.0
        for i in order:
            square += float(out_values[first + i]) ** 2
        kept_columns, kept_values = (
            out_columns[first:written][order],
            out_values[first:written][order],
        )
        written = first + len(order)
        out_columns[first:written], out_values[first:written] = kept_columns, kept_values
        for i in range(first, written):
            out_values[i] /= np.sqrt(square)
        lengths[row - begin] = written - first
    return lengths, out_columns[:written], out_values[:written]
