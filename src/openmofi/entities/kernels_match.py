"""Compiled: aliases in tokens, longest first, left to right.

From each token on, the words are hashed one after the other; a bitmap says whether an alias ends
here and whether a longer one begins so. What a hash finds is compared with the stored string.

Every number that comes from a file is checked before it is used as a place: a damaged matcher
gives `DAMAGED`, never a read outside its arrays. Arrays are passed one by one, since taking them
out of a tuple counts references, which costs more than the search.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_hash import (
    SEED,
    Bools,
    Bytes,
    Hashes,
    Int,
    Ints,
    decode,
    extend,
    finish,
)
from openmofi.entities.kernels_text import TokenArrays
from openmofi.entities.unicode_tables import Codes

ENDS, CONTINUES = 1, 2  # bits of a slot: an alias ends here; a longer one begins so
NONE, DAMAGED = -1, -2  # instead of an alias: there is none; the index contradicts itself

_BLOCK = 256  # tokens whose memory is fetched together; it stays in the cache until it is used

HEADER = 6  # bytes before a key: 4 of its hash, 2 of its length and `STOP`
STOP = 0x8000


class Strings(NamedTuple):
    """Strings of code points, one after the other."""

    codes: Codes
    starts: Ints  # and the end of the last


class Plurals(NamedTuple):
    """How the last word may be read as a plural; see `openmofi.entities.inflection`."""

    endings: Strings  # [rules]
    cuts: Ints  # [rules] characters of each ending
    shortest: Ints  # [rules] characters of the shortest word
    barred: Strings
    irregular_hashes: Hashes  # sorted
    irregular: Strings
    singulars: Strings  # of the irregular plurals, then what the rules put in place of endings


class Index(NamedTuple):
    """What the search reads of `openmofi.entities.index.MatcherIndex`."""

    slots: Bytes
    slot_shift: np.uint64
    buckets: npt.NDArray[Any]
    bucket_shift: np.uint64
    records: Bytes
    size: int


@compiled
def search(
    tokens: TokenArrays, index: Index, plurals: Plurals, max_tokens: Int, nested: bool
) -> tuple[Ints, Int]:
    """Mentions as rows of (alias, first token, last token, whether inside another); their number.

    The number is `DAMAGED` if the index contradicts itself.
    """
    codes, starts, ends, may_start = tokens.codes, tokens.starts, tokens.ends, tokens.may_start
    slots, slot_shift, records = index.slots, index.slot_shift, index.records
    buckets, bucket_shift, size = index.buckets, index.bucket_shift, index.size
    tails, tail_starts, cuts = plurals.singulars.codes, plurals.singulars.starts, plurals.cuts
    plural, rules, irregular = _readings(tokens, plurals)
    states, tries = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint64)
    live, places = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    out = np.empty((len(starts), 4), np.int64)
    count, token = 0, 0
    for begin in range(0, len(starts), _BLOCK):
        stop_at = min(begin + _BLOCK, len(starts))
        _probe(
            codes, starts, ends, tokens.texts, may_start, tokens.may_end, plural, begin, stop_at,
            max_tokens, slots, slot_shift, buckets, bucket_shift, records,
            states, tries, live, places,
        )  # fmt: skip
        token = max(token, begin)
        while token < stop_at:
            tried, alias, last, stops = tries[token - begin], NONE, token, False
            while tried and alias == NONE:  # the longest first
                length = _log2(tried)
                tried ^= np.uint64(1) << np.uint64(length)
                alias, stops = _alias_of(
                    codes, starts[token], starts[token + length], ends[token + length],
                    slots, slot_shift, buckets, bucket_shift, records,
                    rules[token + length], irregular[token + length], tails, tail_starts, cuts,
                )  # fmt: skip
                last = token + length
            if alias == DAMAGED or alias >= size:
                return out, DAMAGED
            if alias == NONE:
                token += 1
                continue
            if not stops:
                out, count = _append(out, count, alias, token, last, 0)
            for first in range(token, last + 1 if nested and not stops else token):
                for end in range(first, last + 1):
                    if not (may_start[first] and tokens.may_end[end]):
                        continue
                    alias, stops = _alias_of(
                        codes, starts[first], starts[end], ends[end],
                        slots, slot_shift, buckets, bucket_shift, records,
                        rules[end], irregular[end], tails, tail_starts, cuts,
                    )  # fmt: skip
                    if alias == DAMAGED or alias >= size:
                        return out, DAMAGED
                    if alias != NONE and not stops and (first > token or end < last):
                        out, count = _append(out, count, alias, first, end, 1)
            token = last + 1
    return out, count


@compiled
def _probe(
    codes: Codes, starts: Ints, ends: Ints, texts: Ints, may_start: Bools, may_end: Bools,
    plural: Bools, begin: Int, stop_at: Int, max_tokens: Int,
    slots: Bytes, slot_shift: Int, buckets: Any, bucket_shift: Int, records: Bytes,
    states: Hashes, tries: Hashes, live: Ints, places: Ints,
) -> None:  # fmt: skip
    """For each token of a block, by how many more tokens an alias may end: one bit each in tries.

    All tokens go one word further at a time, so that the processor waits for many places of memory
    at once; then what the longest tries will read is fetched in the same way.
    """
    count = 0
    for token in range(begin, stop_at):
        states[token - begin] = extend(SEED, codes, starts[token], ends[token])
        tries[token - begin] = places[token - begin] = 0
        live[count] = token
        count += may_start[token]
    for length in range(max_tokens):
        kept = 0
        for i in range(count):
            token, last = live[i], live[i] + length
            value = finish(states[token - begin])
            flags = flags_of(slots, slot_shift, value)
            if may_end[last] and (flags & ENDS or plural[last]):
                tries[token - begin] |= np.uint64(1) << np.uint64(length)
                places[token - begin] = np.int64(value >> bucket_shift)
            live[kept] = token
            goes_on = flags & CONTINUES and last + 1 < len(texts)
            kept += goes_on and texts[last + 1] == texts[token]
        count = kept
        for i in range(count):
            token, last = live[i], live[i] + length
            states[token - begin] = extend(states[token - begin], codes, ends[last], ends[last + 1])
        if not count:
            break
    for i in range(stop_at - begin):
        places[i] = np.int64(buckets[places[i], 1])
    touched = 0
    for i in range(stop_at - begin if len(records) else 0):
        touched += records[min(max(places[i], 0), len(records) - 1)]
    places[0] = touched  # else the compiler would leave the reads out


@inlined
def _alias_of(
    codes: Codes, begin: Int, start: Int, end: Int,
    slots: Bytes, slot_shift: Int, buckets: Any, bucket_shift: Int, records: Bytes,
    rules: Int, irregular: Int, tails: Codes, tail_starts: Ints, cuts: Ints,
) -> tuple[Int, bool]:  # fmt: skip
    """The alias that ``codes[begin:end]`` is, as written or with its last word made singular.

    And whether it is a stop phrase. The last word begins at ``start``.
    """
    before = extend(SEED, codes, begin, start)
    value = finish(extend(before, codes, start, end))
    if flags_of(slots, slot_shift, value) & ENDS:
        alias, stops = find(buckets, bucket_shift, records, value, codes, begin, end, codes, 0, 0)
        if alias != NONE:
            return alias, stops
    if rules or irregular != NONE:
        return _as_plural(
            codes, begin, start, end, before, slots, slot_shift, buckets, bucket_shift, records,
            rules, irregular, tails, tail_starts, cuts,
        )  # fmt: skip
    return NONE, False


@compiled
def _log2(value: Int) -> Int:
    """Place of the highest bit."""
    bits = 0
    while value > np.uint64(1):
        value >>= np.uint64(1)
        bits += 1
    return bits


@compiled
def look_up(index: Index, codes: Codes) -> Int:
    """The alias whose key these characters are."""
    value = finish(extend(SEED, codes, 0, len(codes)))
    alias, _ = find(
        index.buckets, index.bucket_shift, index.records, value,
        codes, 0, len(codes), codes, 0, 0,
    )  # fmt: skip
    return alias


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


@inlined
def flags_of(slots: Bytes, shift: Int, value: Int) -> Int:
    """The two bits of a hash."""
    slot = value >> shift
    return (slots[slot >> np.uint64(2)] >> np.uint8((slot & np.uint64(3)) << np.uint64(1))) & 3


@inlined
def find(
    buckets: Any, bucket_shift: Int, records: Bytes, value: Int,
    codes: Codes, start: Int, end: Int, tail: Codes, a: Int, b: Int,
) -> tuple[Int, bool]:  # fmt: skip
    """The alias that reads ``codes[start:end]`` and then ``tail[a:b]``, by its hash."""
    bucket = value >> bucket_shift
    alias, place = np.int64(buckets[bucket, 0]), np.int64(buckets[bucket, 1])
    stop = np.int64(buckets[bucket + np.uint64(1), 1])
    if alias < 0 or place < 0 or stop > len(records):
        return DAMAGED, False
    wanted = np.int64(value & np.uint64(0xFFFFFFFF))
    while place + HEADER <= stop:
        found = np.int64(records[place]) | np.int64(records[place + 1]) << 8
        found |= np.int64(records[place + 2]) << 16 | np.int64(records[place + 3]) << 24
        length = np.int64(records[place + 4]) | np.int64(records[place + 5]) << 8
        place += HEADER
        after = place + (length & ~STOP)
        if after > stop:
            return DAMAGED, False
        if found == wanted and _same(records, place, after, codes, start, end, tail, a, b):
            return alias, length & STOP != 0
        place = after
        alias += 1
    return NONE, False


@inlined
def _same(
    records: Bytes, place: Int, stop: Int,
    codes: Codes, start: Int, end: Int, tail: Codes, a: Int, b: Int,
) -> Int:  # fmt: skip
    for i in range(start, end):
        if place >= stop:
            return False
        code, place = decode(records, place, stop)
        if code != codes[i]:
            return False
    for i in range(a, b):
        if place >= stop:
            return False
        code, place = decode(records, place, stop)
        if code != tail[i]:
            return False
    return place == stop


@compiled
def _readings(tokens: TokenArrays, plurals: Plurals) -> tuple[Bools, Bytes, Ints]:
    """Which tokens may be plurals; by which rules, a bit each; row of the irregular plural."""
    size = len(tokens.starts)
    rules, irregular = np.zeros(size, np.uint8), np.full(size, NONE, np.int64)
    either = np.zeros(size, np.bool_)
    codes, starts, ends = tokens.codes, tokens.starts, tokens.ends
    hashes, words = plurals.irregular_hashes, plurals.irregular
    endings, ending_starts = plurals.endings.codes, plurals.endings.starts
    barred, barred_starts, shortest = plurals.barred.codes, plurals.barred.starts, plurals.shortest
    for token in range(size):
        start, end = starts[token], ends[token]
        if len(hashes):
            irregular[token] = _irregular(codes, start, end, hashes, words.codes, words.starts)
        if not _which_end(codes, start, end, barred, barred_starts):
            found = _which_end(codes, start, end, endings, ending_starts)
            for rule in range(len(shortest)):
                if end - start < shortest[rule]:
                    found &= ~(1 << rule)
            rules[token] = found
        either[token] = rules[token] != 0 or irregular[token] != NONE
    return either, rules, irregular


@compiled
def _irregular(
    codes: Codes, start: Int, end: Int, hashes: Hashes, words: Codes, bounds: Ints
) -> Int:
    """Row of the irregular plural that a token is, or `NONE`."""
    value = finish(extend(SEED, codes, start, end))
    which = np.searchsorted(hashes, value)
    while which < len(hashes) and hashes[which] == value:
        a, b = bounds[which], bounds[which + 1]
        if b - a == end - start and _ends_in(codes, start, end, words, a, b):
            return which
        which += 1
    return NONE


@compiled
def _which_end(codes: Codes, start: Int, end: Int, suffixes: Codes, bounds: Ints) -> Int:
    """One bit for each suffix in which a token ends."""
    found = 0
    for which in range(len(bounds) - 1):
        if _ends_in(codes, start, end, suffixes, bounds[which], bounds[which + 1]):
            found |= 1 << which
    return found


@compiled
def _ends_in(codes: Codes, start: Int, end: Int, suffix: Codes, a: Int, b: Int) -> bool:
    if end - start < b - a:
        return False
    for back in range(1, b - a + 1):
        if codes[end - back] != suffix[b - back]:
            return False
    return True


@compiled
def _as_plural(
    codes: Codes, begin: Int, start: Int, end: Int, before: Int,
    slots: Bytes, slot_shift: Int, buckets: Any, bucket_shift: Int, records: Bytes,
    rules: Int, irregular: Int, tails: Codes, tail_starts: Ints, cuts: Ints,
) -> tuple[Int, bool]:  # fmt: skip
    """The alias that ``codes[begin:end]`` is with the word from ``start`` on made singular."""
    first_rule = len(tail_starts) - 1 - len(cuts)
    for rule in range(-1, len(cuts)):  # irregular plurals come first
        if (irregular == NONE) if rule < 0 else not rules >> rule & 1:
            continue
        which = irregular if rule < 0 else first_rule + rule
        cut = start if rule < 0 else end - cuts[rule]
        a, b = tail_starts[which], tail_starts[which + 1]
        value = finish(extend(extend(before, codes, start, cut), tails, a, b))
        if flags_of(slots, slot_shift, value) & ENDS:
            alias, stop = find(
                buckets, bucket_shift, records, value, codes, begin, cut, tails, a, b
            )
            if alias != NONE:
                return alias, stop
    return NONE, False
