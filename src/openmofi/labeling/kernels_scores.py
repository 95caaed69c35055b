"""Compiled: candidates to scores, in one pass each. They stand by sample and mention."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_hash import PRIME, SEED, Bools, Bytes, Int, Ints, finish

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
HalfBits = npt.NDArray[np.uint16]

_LANES = 64  # sums of a dot product: a fixed order of additions that fits any vector unit
_REBIAS = np.float32(2.0**112)  # between the exponents' biases, 127 and 15


class Pairs(NamedTuple):
    """Distinct pairs of sample and entity, sorted by both: one however often it is mentioned."""

    rows: Ints
    entities: Ints  # rows of the sorted ids
    places: Ints  # of each candidate, its pair


@compiled
def hash_strings(starts: Ints, data: Bytes) -> npt.NDArray[np.int32]:
    """A hash table of distinct strings, for `find_strings`; string ``i`` is ``starts[i : i + 2]``.

    Open addressing: slots hold the number of a string or -1, and at least half of them -1.
    """
    size = 2
    while size < 2 * (len(starts) - 1):
        size *= 2
    slots = np.full(size, -1, np.int32)
    for i in range(len(starts) - 1):
        slot = _first_slot(data, starts[i], starts[i + 1], size)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = i
    return slots


@compiled
def find_strings(
    starts: Ints, data: Bytes, known_starts: Ints, known_data: Bytes, slots: npt.NDArray[np.int32]
) -> Ints:
    """The number of each string among the known ones, or -1."""
    found = np.full(len(starts) - 1, -1, np.int64)
    for i in range(len(found)):
        begin, end = starts[i], starts[i + 1]
        slot = _first_slot(data, begin, end, len(slots))
        while slots[slot] >= 0:
            known = slots[slot]
            if _are_equal(
                data, begin, end, known_data, known_starts[known], known_starts[known + 1]
            ):
                found[i] = known
                break
            slot = (slot + 1) & (len(slots) - 1)
    return found


@inlined
def _first_slot(data: Bytes, begin: Int, end: Int, size: Int) -> Int:
    state = SEED
    for i in range(begin, end):
        state = (state ^ np.uint64(data[i])) * PRIME
    return np.int64(finish(state) & np.uint64(size - 1))


@inlined
def _are_equal(one: Bytes, begin: Int, end: Int, other: Bytes, first: Int, last: Int) -> Int:
    equal = end - begin == last - first
    place = 0
    while equal and place < end - begin:
        equal = one[begin + place] == other[first + place]
        place += 1
    return equal


@compiled
def distinct_pairs(rows: Ints, entities: Ints) -> Pairs:
    """The pairs of candidates that are given by row and entity; ``rows`` must not decrease."""
    size, count, begin = len(rows), 0, 0
    order, places = np.empty(size, np.int64), np.empty(size, np.int64)
    pair_rows, pair_entities = np.empty(size, np.int64), np.empty(size, np.int64)
    while begin < size:
        end = begin
        # An image has a few dozen candidates: nothing sorts those faster than by insertion.
        while end < size and rows[end] == rows[begin]:
            free = end
            while free > begin and entities[order[free - 1]] > entities[end]:
                order[free] = order[free - 1]
                free -= 1
            order[free] = end
            end += 1
        for i in range(begin, end):
            candidate = order[i]
            if i == begin or entities[candidate] != pair_entities[count - 1]:
                pair_rows[count], pair_entities[count] = rows[candidate], entities[candidate]
                count += 1
            places[candidate] = count - 1
        begin = end
    return Pairs(pair_rows[:count], pair_entities[:count], places)


@compiled
def cosines_of_pairs(
    images: Singles, image_rows: Ints, texts: HalfBits, text_rows: Ints
) -> Singles:
    """Dot products of rows of ``[I, dim]`` and of the bits of float16 ``[E, dim]``, -1 to 1.

    No row is copied. The processor here has no arithmetic on halves: their bits, shifted, are
    single floats too small by a constant factor, which the image carries. Exact, subnormals
    included; infinities are not told apart.
    """
    dim, last = images.shape[1], -1
    whole = dim // _LANES * _LANES
    image, bits = np.empty(dim, np.float32), np.empty(dim, np.uint32)
    text, sums = bits.view(np.float32), np.empty(_LANES, np.float32)
    found = np.empty(len(image_rows), np.float32)
    for pair in range(len(image_rows)):
        if image_rows[pair] != last:
            last = image_rows[pair]
            row = images[last]
            for i in range(dim):
                image[i] = row[i] * _REBIAS
        halves = texts[text_rows[pair]]
        for i in range(dim):
            half = np.uint32(halves[i])
            sign, rest = half & np.uint32(0x8000), half & np.uint32(0x7FFF)
            bits[i] = sign << np.uint32(16) | rest << np.uint32(13)
        sums[:] = 0
        for begin in range(0, whole, _LANES):
            one, other = text[begin : begin + _LANES], image[begin : begin + _LANES]
            for lane in range(_LANES):
                sums[lane] += one[lane] * other[lane]
        total = _sum_of_lanes(sums)
        for i in range(whole, dim):
            total += text[i] * image[i]
        found[pair] = min(max(total, np.float32(-1)), np.float32(1))
    return found


@inlined
def _sum_of_lanes(sums: Singles) -> Int:
    for lane in range(32):
        sums[lane] += sums[lane + 32]
    for lane in range(16):
        sums[lane] += sums[lane + 16]
    total = np.float32(0)
    for lane in range(16):
        total += sums[lane]
    return total


@compiled
def settle_groups(
    mentions: Ints, logits: Doubles, cosines: Singles, ranks: Ints, entities: Ints
) -> tuple[Singles, Bools]:
    """Softmax over each run of equal ``mentions``, and the greatest of each run.

    Equal logits are told apart by the greater cosine, the smaller rank, the smaller entity.
    """
    size, begin = len(mentions), 0
    posterior, best = np.empty(size, np.float32), np.zeros(size, np.bool_)
    while begin < size:
        end, first = begin + 1, begin
        while end < size and mentions[end] == mentions[begin]:
            if _is_before(end, first, logits, cosines, ranks, entities):
                first = end
            end += 1
        total = 0.0
        for i in range(begin, end):
            total += np.exp(logits[i] - logits[first])
        for i in range(begin, end):
            posterior[i] = np.exp(logits[i] - logits[first]) / total
        best[first] = True
        begin = end
    return posterior, best


@inlined
def _is_before(
    one: Int, other: Int, logits: Doubles, cosines: Singles, ranks: Ints, entities: Ints
) -> Int:
    if logits[one] != logits[other]:
        return logits[one] > logits[other]
    if cosines[one] != cosines[other]:
        return cosines[one] > cosines[other]
    if ranks[one] != ranks[other]:
        return ranks[one] < ranks[other]
    return entities[one] < entities[other]


@compiled
def spread_over_pairs(
    places: Ints, posterior: Singles, best: Bools, count: Int
) -> tuple[Singles, Bools]:
    """Of each of ``count`` pairs the greatest posterior, and whether it is the best anywhere."""
    posteriors, settled = np.zeros(count, np.float32), np.zeros(count, np.bool_)
    for i in range(len(places)):
        posteriors[places[i]] = max(posteriors[places[i]], posterior[i])
        settled[places[i]] |= best[i]
    return posteriors, settled


@compiled
def rank_pairs(rows: Ints, cosines: Singles, settled: Bools) -> tuple[Ints, Ints]:
    """Order and rank of pairs in each row: settled ones first, then by cosine, then as they stand.

    Returns:
        The pairs in that order, row by row; the rank of each of those, from 0.
    """
    size, begin = len(rows), 0
    order, ranks = np.empty(size, np.int64), np.empty(size, np.int64)
    while begin < size:
        end = begin
        while end < size and rows[end] == rows[begin]:
            free = end
            while free > begin and _is_better(end, order[free - 1], cosines, settled):
                order[free] = order[free - 1]
                free -= 1
            order[free] = end
            ranks[end] = end - begin
            end += 1
        begin = end
    return order, ranks


@inlined
def _is_better(one: Int, other: Int, cosines: Singles, settled: Bools) -> Int:
    if settled[one] != settled[other]:
        return settled[one]
    return cosines[one] > cosines[other]
