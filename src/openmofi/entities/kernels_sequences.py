"""Compiled: which alias a sequence of numbered words is.

As in `kernels_words`, nothing that comes from a file is used as a place before it is checked.
"""

from typing import Any

import numpy as np

from openmofi.entities.compiled import inlined
from openmofi.entities.kernels_hash import PRIME, SEED, Bytes, Int, finish
from openmofi.entities.kernels_words import DAMAGED, NONE, Numbers

ENDS, CONTINUES = 1, 2  # bits of a slot: an alias ends here; a longer one begins so
WORD_CONTINUES, WORD_STOPS, WORD_SHIFT = 1, 2, 2  # of what is known of a word

HAS_GAPS, STOPS = 0x40, 0x80  # of a record's first byte, beside the number of words less one


@inlined
def alias_of(
    words: Numbers, gaps: Numbers, singulars: Numbers, counts: Bytes, first: Int, last: Int,
    begin: Int, facts: Numbers, slots: Bytes, slot_shift: Int, buckets: Any, shift: Int,
    records: Bytes, id_bytes: Int, space: Int,
) -> tuple[Int, Int, Int]:  # fmt: skip
    """The alias that some tokens are; whether it stops; by which reading of the last token.

    Readings are tried from ``begin``: -1 is the token as written, 0 and more make it singular.
    """
    state = start_with(words[first])
    for token in range(first, last):
        if words[token] < 0 or gaps[token + 1] < 0:
            return NONE, False, begin
        if token > first:
            state = append(state, gaps[token], words[token])
    for reading in range(begin, counts[last]):
        word = words[last] if reading < 0 else singulars[last, reading]
        if word < 0:
            continue
        if first == last:
            fact = facts[word]
            if fact >> WORD_SHIFT > 0:
                return np.int64((fact >> WORD_SHIFT) - 1), fact & WORD_STOPS != 0, reading
            continue
        value = finish(append(state, gaps[last], word))
        if flags_of(slots, slot_shift, value) & ENDS:
            alias, stops = _find(
                buckets, shift, records, id_bytes, space, value, words, gaps, first, last, word
            )
            if alias != NONE:
                return alias, stops, reading
    return NONE, False, begin


@inlined
def _find(
    buckets: Any, shift: Int, records: Bytes, id_bytes: Int, space: Int, value: Int,
    words: Numbers, gaps: Numbers, first: Int, last: Int, word: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """The alias of the words ``first`` to ``last``, ``word`` in the place of the last."""
    bucket = value >> shift
    alias, place = np.int64(buckets[bucket, 0]), np.int64(buckets[bucket, 1])
    stop = np.int64(buckets[bucket + np.uint64(1), 1])
    if alias < 0 or not 0 <= place <= stop <= len(records):
        return DAMAGED, False
    while place < stop:
        head = np.int64(records[place])
        count, has_gaps = (head & 0x3F) + 1, head & HAS_GAPS
        size = count * id_bytes
        after = place + 1 + size + (size - id_bytes if has_gaps else 0)
        if after > stop:
            return DAMAGED, False
        same, place = count == last - first + 1, place + 1
        for token in range(first, last + 1 if same else first):
            one = _number_at(records, place, id_bytes)
            same = same and one == (word if token == last else words[token])
            if token > first:
                gap = _number_at(records, place + size - id_bytes, id_bytes) if has_gaps else space
                same = same and gap == gaps[token]
            place += id_bytes
        if same:
            return alias, head & STOPS != 0
        place = after
        alias += 1
    return NONE, False


@inlined
def _number_at(records: Bytes, place: Int, id_bytes: Int) -> Int:
    found = np.int64(records[place]) | np.int64(records[place + 1]) << 8
    found |= np.int64(records[place + 2]) << 16
    return found | np.int64(records[place + 3]) << 24 if id_bytes > 3 else found


@inlined
def start_with(word: Int) -> Int:
    """State of a sequence of one word."""
    return (SEED ^ np.uint64(word + 1)) * PRIME


@inlined
def append(state: Int, gap: Int, word: Int) -> Int:
    """State of a sequence with one word more, after a gap."""
    state = (state ^ np.uint64(gap + 1)) * PRIME
    return (state ^ np.uint64(word + 1)) * PRIME


@inlined
def flags_of(slots: Bytes, shift: Int, value: Int) -> Int:
    """The two bits of a hash."""
    slot = value >> shift
    return (slots[slot >> np.uint64(2)] >> np.uint8((slot & np.uint64(3)) << np.uint64(1))) & 3
