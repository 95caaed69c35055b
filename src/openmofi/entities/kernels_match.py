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
from openmofi.entities.kernels_hash import Bools, Bytes, Hashes, Int, Ints, finish
from openmofi.entities.kernels_sequences import (
    CONTINUES,
    ENDS,
    WORD_CONTINUES,
    WORD_SHIFT,
    alias_of,
    append,
    flags_of,
    start_with,
)
from openmofi.entities.kernels_text import TokenArrays
from openmofi.entities.kernels_words import (
    DAMAGED,
    NONE,
    Numbers,
    Plurals,
    Words,
    number,
)  # fmt: skip

PLAIN, NESTED, HEADS, STOPPED = 0, 1, 2, 4
RECOGNIZED = 8  # of a row: a model says that it is a mention

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
    tokens: TokenArrays, index: Index, plurals: Plurals, max_tokens: int, wanted: int
) -> tuple[Ints, Int]:
    """Mentions as rows of (alias, first token, last token, what it is, singular); their number.

    ``wanted`` is what is given besides plain mentions: `NESTED` ones, `HEADS` (of those only the
    longest that ends where the outer one does), `STOPPED` phrases. ``singular`` is the alias that
    a mention which is an alias as it stands is the plural of, or `NONE`.

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
    out = np.empty((len(starts), 5), np.int64)
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
                alias, stops, reading = alias_of(
                    words, gaps, singulars, counts, token, last, -1,
                    facts, slots, slot_shift, buckets, shift, records, id_bytes, space,
                )  # fmt: skip
            if alias == DAMAGED or alias >= size:
                return out, DAMAGED
            if alias == NONE:
                token += 1
                continue
            if stops:
                if wanted & STOPPED:
                    out, count = _append(out, count, alias, token, last, STOPPED, NONE)
                token = last + 1
                continue
            singular = NONE
            if reading < 0 and counts[last]:
                singular, stops, _ = alias_of(
                    words, gaps, singulars, counts, token, last, 0,
                    facts, slots, slot_shift, buckets, shift, records, id_bytes, space,
                )  # fmt: skip
                if singular == DAMAGED or singular >= size:
                    return out, DAMAGED
                singular = NONE if stops or singular == alias else singular
            out, count = _append(out, count, alias, token, last, PLAIN, singular)
            found = False
            for first in range(token, last + 1 if wanted & (NESTED | HEADS) else token):
                for end in range(first if wanted & NESTED else last, last + 1):
                    if found or not (may_start[first] and may_end[end]):
                        continue
                    if first == token and end == last:
                        continue
                    alias, stops, _ = alias_of(
                        words, gaps, singulars, counts, first, end, -1,
                        facts, slots, slot_shift, buckets, shift, records, id_bytes, space,
                    )  # fmt: skip
                    if alias == DAMAGED or alias >= size:
                        return out, DAMAGED
                    if alias != NONE and not stops:
                        out, count = _append(out, count, alias, first, end, NESTED, NONE)
                        found = wanted & HEADS != 0
            token = last + 1
    return out, count


@compiled
def look_up(tokens: TokenArrays, index: Index, plurals: Plurals) -> Int:
    """The alias that all the tokens together are, as they are written."""
    words, gaps, singulars, counts, fits = number(tokens, index.words, plurals)
    if not fits or not len(words):
        return NONE if fits else DAMAGED
    counts[:] = 0
    alias, _, _ = alias_of(
        words, gaps, singulars, counts, 0, len(words) - 1, -1, index.facts, index.slots,
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
    out: Ints, count: Int, alias: Int, first: Int, last: Int, what: Int, singular: Int
) -> tuple[Ints, Int]:
    if count == len(out):
        longer = np.empty((2 * len(out) + 16, 5), np.int64)
        longer[:count] = out
        out = longer
    out[count, 0], out[count, 1], out[count, 2] = alias, first, last
    out[count, 3], out[count, 4] = what, singular
    return out, count + 1
