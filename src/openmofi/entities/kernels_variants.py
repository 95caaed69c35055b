"""Compiled: words that are two words, and places in sorted strings; all strings are UTF-8."""

import numpy as np

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_hash import PRIME, SEED, Bools, Bytes, Int, Ints, finish

_NONE = -1


@compiled
def first_words(data: Bytes, starts: Ints, shortest: Int, whole: Int) -> Ints:
    """Letters of the first of the two words that each word is, or 0.

    Args:
        data: The words, one after the other.
        starts: ``[words + 1]`` where each begins.
        shortest: Letters that each of the two must have at least.
        whole: Letters that a word must have to be cut.

    Returns:
        ``[words]``; where several cuts make two of the words, the first word is the shortest.
    """
    found = np.zeros(len(starts) - 1, np.int64)
    table = _table(data, starts)
    for word in range(len(found)):
        begin, end = starts[word], starts[word + 1]
        letters = 0
        for place in range(begin, end):
            letters += _begins_letter(data[place])
        if letters < whole:
            continue
        state, before = SEED, 0
        for place in range(begin, end):
            if before > letters - shortest:
                break
            if _begins_letter(data[place]):
                if (
                    shortest <= before <= letters - shortest
                    and _is_word(table, np.int64(finish(state)), data, starts, begin, place)
                    and _is_word(table, _hash(data, place, end), data, starts, place, end)
                ):
                    found[word] = before
                    break
                before += 1
            state = (state ^ np.uint64(data[place])) * PRIME
    return found


@compiled
def _table(data: Bytes, starts: Ints) -> Ints:
    """Words by hash, open addressing."""
    size = 16
    while size < 2 * len(starts):
        size *= 2
    table = np.full(size, _NONE, np.int64)
    for word in range(len(starts) - 1):
        slot = _hash(data, starts[word], starts[word + 1]) & (size - 1)
        while table[slot] != _NONE:
            slot = (slot + 1) & (size - 1)
        table[slot] = word
    return table


@inlined
def _begins_letter(byte: Int) -> Int:
    return byte & 0xC0 != 0x80


@inlined
def _hash(data: Bytes, begin: Int, end: Int) -> Int:
    state = SEED
    for place in range(begin, end):
        state = (state ^ np.uint64(data[place])) * PRIME
    return np.int64(finish(state))


@compiled
def _is_word(table: Ints, value: Int, data: Bytes, starts: Ints, begin: Int, end: Int) -> bool:
    slot = value & (len(table) - 1)
    while table[slot] != _NONE:
        word = table[slot]
        if _compare(data, begin, end, data, starts[word], starts[word + 1]) == 0:
            return True
        slot = (slot + 1) & (len(table) - 1)
    return False


@compiled
def places(data: Bytes, starts: Ints, others: Bytes, other_starts: Ints) -> tuple[Ints, Bools]:
    """Where each of some sorted strings belongs among others that are sorted too.

    Returns:
        How many of the others come before it; whether it is one of them.
    """
    found = np.empty(len(starts) - 1, np.int64)
    known = np.zeros(len(starts) - 1, np.bool_)
    other = 0
    for i in range(len(found)):
        order = 1
        while other < len(other_starts) - 1:
            order = _compare(
                others, other_starts[other], other_starts[other + 1], data, starts[i], starts[i + 1]
            )
            if order >= 0:
                break
            other += 1
        found[i], known[i] = other, order == 0
    return found, known


@inlined
def _compare(data: Bytes, begin: Int, end: Int, other: Bytes, start: Int, stop: Int) -> Int:
    """Below 0, 0 or above as the first string is before the second, the same, or after it."""
    for i in range(min(end - begin, stop - start)):
        difference = np.int64(data[begin + i]) - np.int64(other[start + i])
        if difference:
            return difference
    return (end - begin) - (stop - start)
