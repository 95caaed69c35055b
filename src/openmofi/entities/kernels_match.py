"""Compiled: aliases in numbered tokens, longest first, left to right.

A word knows which alias it is alone and whether a longer one begins with it. Sequences of words are
hashed; a bitmap says whether an alias ends here and whether a longer one begins so; what a hash
finds is compared with the stored sequence. As in `kernels_words`, nothing that comes from a file is
used as a place before it is checked.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_hash import PRIME, SEED, Bools, Bytes, Hashes, Int, Ints, finish
from openmofi.entities.kernels_text import TokenArrays
from openmofi.entities.kernels_words import (
    DAMAGED,
    NONE,
    Numbers,
    Plurals,
    Words,
    number,
)  # fmt: skip

ENDS, CONTINUES = 1, 2  # bits of a slot: an alias ends here; a longer one begins so
WORD_CONTINUES, WORD_STOPS, WORD_SHIFT = 1, 2, 2  # of what is known of a word

HAS_GAPS, STOPS = 0x40, 0x80  # of a record's first byte, beside the number of words less one

_BLOCK = 256  # tokens whose memory is fetched together


class Index(NamedTuple):
    """What the search reads of `openmofi.entities.index.MatcherIndex`."""

    words: Words
    facts: Numbers
    slots: Bytes
    slot_shift: np.uint64
    buckets: npt.NDArray[Any]
    shift: np.uint64
    records: Bytes
    id_bytes: int
    space: int
    size: int


@compiled
def search(
    tokens: TokenArrays, index: Index, plurals: Plurals, max_tokens: int, nested: bool
) -> tuple[Ints, Int]:
    """Mentions as rows of (alias, first token, last token, whether inside another); their number.

    The number is `DAMAGED` if the index contradicts itself.
    """
    starts, may_start, may_end = tokens.starts, tokens.may_start, tokens.may_end
    words, gaps, singulars, counts, fits = number(tokens, index.words, plurals)
    facts, slots, slot_shift = index.facts, index.slots, index.slot_shift
    buckets, shift, records = index.buckets, index.shift, index.records
    id_bytes, space, size = index.id_bytes, index.space, index.size
    states, tries = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint64)
    live, places = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    values, flags = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint8)
    out = np.empty((len(starts), 4), np.int64)
    if not fits:
        return out, DAMAGED
    count, token = 0, 0
    for begin in range(0, len(starts), _BLOCK):
        stop_at = min(begin + _BLOCK, len(starts))
        _probe(
            words, gaps, counts, tokens.texts, may_start, may_end, begin, stop_at, max_tokens,
            facts, slots, slot_shift, buckets, shift, records, states, tries, live, places,
            values, flags,
        )  # fmt: skip
        token = max(token, begin)
        while token < stop_at:
            tried, alias, last, stops = tries[token - begin], NONE, token, False
            while tried and alias == NONE:  # the longest first
                length = _log2(tried)
                tried ^= np.uint64(1) << np.uint64(length)
                last = token + length
                alias, stops = alias_of(
                    words, gaps, singulars, counts, token, last,
                    facts, slots, slot_shift, buckets, shift, records, id_bytes, space,
                )  # fmt: skip
            if alias == DAMAGED or alias >= size:
                return out, DAMAGED
            if alias == NONE:
                token += 1
                continue
            if not stops:
                out, count = _append(out, count, alias, token, last, 0)
            for first in range(token, last + 1 if nested and not stops else token):
                for end in range(first, last + 1):
                    if not (may_start[first] and may_end[end]):
                        continue
                    alias, stops = alias_of(
                        words, gaps, singulars, counts, first, end,
                        facts, slots, slot_shift, buckets, shift, records, id_bytes, space,
                    )  # fmt: skip
                    if alias == DAMAGED or alias >= size:
                        return out, DAMAGED
                    if alias != NONE and not stops and (first > token or end < last):
                        out, count = _append(out, count, alias, first, end, 1)
            token = last + 1
    return out, count


@compiled
def look_up(tokens: TokenArrays, index: Index, plurals: Plurals) -> Int:
    """The alias that all the tokens together are, as they are written."""
    words, gaps, singulars, counts, fits = number(tokens, index.words, plurals)
    if not fits or not len(words):
        return NONE if fits else DAMAGED
    counts[:] = 0
    alias, _ = alias_of(
        words, gaps, singulars, counts, 0, len(words) - 1, index.facts, index.slots,
        index.slot_shift, index.buckets, index.shift, index.records, index.id_bytes, index.space,
    )  # fmt: skip
    return alias if alias < index.size else DAMAGED


@compiled
def _probe(
    words: Numbers, gaps: Numbers, counts: Bytes, texts: Ints, may_start: Bools, may_end: Bools,
    begin: Int, stop_at: Int, max_tokens: Int, facts: Numbers, slots: Bytes, slot_shift: Int,
    buckets: Any, shift: Int, records: Bytes,
    states: Hashes, tries: Hashes, live: Ints, places: Ints, values: Hashes, flags: Bytes,
) -> None:  # fmt: skip
    """For each token of a block, by how many more tokens an alias may end: one bit each in tries.

    All tokens go one word further at a time, so that the processor waits for many places of memory
    at once; then what the longest tries will read is fetched in the same way.
    """
    kept = 0
    for token in range(begin, stop_at):
        word, i = words[token], token - begin
        fact = facts[word] if word >= 0 else 0
        alone = fact >> WORD_SHIFT > 0 or counts[token] > 0
        tries[i] = may_start[token] and may_end[token] and alone
        states[i], places[i] = start_with(word), 0
        live[kept] = token
        kept += may_start[token] and fact & WORD_CONTINUES and _goes_on(gaps, texts, token)
    for length in range(1, max_tokens):
        count, kept = kept, 0
        for j in range(count):
            i, last = live[j] - begin, live[j] + length
            states[i] = append(states[i], gaps[last], words[last])
            values[j] = finish(states[i])
        for j in range(count):
            flags[j] = flags_of(slots, slot_shift, values[j])
        for j in range(count):
            token, last = live[j], live[j] + length
            known = words[last] >= 0
            ends = known and flags[j] & ENDS
            if may_end[last] and (ends or counts[last]):
                tries[token - begin] |= np.uint64(1) << np.uint64(length)
            if ends:
                places[token - begin] = np.int64(values[j] >> shift)
            live[kept] = token
            kept += known and flags[j] & CONTINUES and _goes_on(gaps, texts, last)
        if not kept:
            break
    for i in range(stop_at - begin):
        places[i] = np.int64(buckets[places[i], 1])
    touched = 0
    for i in range(stop_at - begin if len(records) else 0):
        touched += records[min(max(places[i], 0), len(records) - 1)]
    places[0] = touched  # else the compiler would leave the reads out


@inlined
def _goes_on(gaps: Numbers, texts: Ints, last: Int) -> Int:
    """Whether a sequence may take in the token after ``last``."""
    return last + 1 < len(texts) and texts[last + 1] == texts[last] and gaps[last + 1] >= 0


@inlined
def alias_of(
    words: Numbers, gaps: Numbers, singulars: Numbers, counts: Bytes, first: Int, last: Int,
    facts: Numbers, slots: Bytes, slot_shift: Int, buckets: Any, shift: Int, records: Bytes,
    id_bytes: Int, space: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """The alias that some tokens are, as written or with the last made singular; if it stops."""
    state = start_with(words[first])
    for token in range(first, last):
        if words[token] < 0 or gaps[token + 1] < 0:
            return NONE, False
        if token > first:
            state = append(state, gaps[token], words[token])
    for reading in range(-1, counts[last]):
        word = words[last] if reading < 0 else singulars[last, reading]
        if word < 0:
            continue
        if first == last:
            fact = facts[word]
            if fact >> WORD_SHIFT > 0:
                return np.int64((fact >> WORD_SHIFT) - 1), fact & WORD_STOPS != 0
            continue
        value = finish(append(state, gaps[last], word))
        if flags_of(slots, slot_shift, value) & ENDS:
            alias, stops = _find(
                buckets, shift, records, id_bytes, space, value, words, gaps, first, last, word
            )
            if alias != NONE:
                return alias, stops
    return NONE, False


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


@compiled
def _log2(value: Int) -> Int:
    """Place of the highest bit."""
    bits = 0
    while value > np.uint64(1):
        value >>= np.uint64(1)
        bits += 1
    return bits


@compiled
def _append(
    out: Ints, count: Int, alias: Int, first: Int, last: Int, inside: Int
) -> tuple[Ints, Int]:
    if count == len(out):
        longer = np.empty((2 * len(out) + 16, 4), np.int64)
        longer[:count] = out
        out = longer
    out[count, 0], out[count, 1], out[count, 2], out[count, 3] = alias, first, last, inside
    return out, count + 1
