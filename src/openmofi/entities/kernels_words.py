"""Compiled: the words of texts and the spaces between them as numbers.

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
    Bytes,
    Hashes,
    Int,
    Ints,
    decode,
    extend,
    finish,
)  # fmt: skip
from openmofi.entities.kernels_text import TokenArrays
from openmofi.entities.unicode_tables import Codes

NONE, DAMAGED = -1, -2  # instead of a number: there is none; the index contradicts itself

HEADER = 6  # bytes before a word: 4 of its hash, 2 of its length

_SPACE = 0x20
_BLOCK = 256  # tokens whose memory is fetched together; it stays in the cache until it is used

Numbers = npt.NDArray[np.int32]


class Words(NamedTuple):
    """Distinct words, and what stands between words, by hash; see `MatcherIndex`."""

    buckets: npt.NDArray[Any]
    shift: np.uint64
    records: Bytes
    size: int


class Strings(NamedTuple):
    """Strings of code points, one after the other."""

    codes: Codes
    starts: Ints  # and the end of the last


class Plurals(NamedTuple):
    """How a mention's last word may be read as a plural; see `openmofi.entities.inflection`."""

    endings: Strings  # [rules]
    cuts: Ints  # [rules] characters of each ending
    shortest: Ints  # [rules] characters of the shortest word
    barred: Strings
    irregular_hashes: Hashes  # sorted
    irregular: Strings
    singulars: Strings  # of the irregular plurals, then what the rules put in place of endings


class Numbered(NamedTuple):
    """The tokens of a batch as numbers, `NONE` where no alias has the word."""

    words: Numbers  # [tokens]
    gaps: Numbers  # [tokens] what stands between the token and the one before it
    singulars: Numbers  # [tokens, 1 + rules] what it may be the plural of, by preference
    counts: Bytes  # [tokens] of these
    fits: bool  # False: the index contradicts itself


@compiled
def number(tokens: TokenArrays, words: Words, plurals: Plurals) -> Numbered:
    """Look up all words of a batch, and their singulars."""
    codes, starts, ends, texts = tokens.codes, tokens.starts, tokens.ends, tokens.texts
    buckets, shift, records, size = words.buckets, words.shift, words.records, words.size
    count, rules = len(starts), len(plurals.cuts)
    found, gaps = np.empty(count, np.int32), np.full(count, NONE, np.int32)
    singulars, counts = np.empty((count, 1 + rules), np.int32), np.zeros(count, np.uint8)
    values, places = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.int64)
    nothing = finish(SEED)
    no_gap = _find(buckets, shift, records, size, nothing, codes, 0, 0, codes, 0, 0)
    space = np.full(1, _SPACE, np.uint32)
    value = finish(extend(SEED, space, 0, 1))
    one_space = _find(buckets, shift, records, size, value, space, 0, 1, space, 0, 0)
    fits = no_gap != DAMAGED and one_space != DAMAGED
    for begin in range(0, count, _BLOCK):
        end = min(begin + _BLOCK, count)
        _fetch(codes, starts, ends, begin, end, buckets, shift, records, values, places)
        for i in range(begin, end):
            found[i] = _find(
                buckets, shift, records, size, values[i - begin], codes, starts[i], ends[i],
                codes, 0, 0,
            )  # fmt: skip
            fits = fits and found[i] != DAMAGED
    for i in range(1, count):
        if texts[i] != texts[i - 1]:
            continue
        a, b = ends[i - 1], starts[i]
        if a == b:
            gaps[i] = no_gap
        elif b == a + 1 and codes[a] == _SPACE:
            gaps[i] = one_space
        else:
            value = finish(extend(SEED, codes, a, b))
            gaps[i] = _find(buckets, shift, records, size, value, codes, a, b, codes, 0, 0)
            fits = fits and gaps[i] != DAMAGED
    if rules or len(plurals.irregular_hashes):
        fits = _read_plurals(tokens, words, plurals, singulars, counts) and fits
    return Numbered(found, gaps, singulars, counts, fits)


@compiled
def _fetch(
    codes: Codes, starts: Ints, ends: Ints, begin: Int, end: Int,
    buckets: Any, shift: Int, records: Bytes, values: Hashes, places: Ints,
) -> None:  # fmt: skip
    """Hash a block of words and touch all that their look-up will read.

    In loops of independent reads the processor waits for many places of memory at once.
    """
    for i in range(begin, end):
        values[i - begin] = finish(extend(SEED, codes, starts[i], ends[i]))
    for i in range(end - begin):
        places[i] = np.int64(buckets[values[i] >> shift, 1])
    touched = 0
    for i in range(end - begin if len(records) else 0):
        touched += records[min(max(places[i], 0), len(records) - 1)]
    places[0] = touched  # else the compiler would leave the reads out


@inlined
def _find(
    buckets: Any, shift: Int, records: Bytes, size: Int, value: Int,
    codes: Codes, start: Int, end: Int, tail: Codes, a: Int, b: Int,
) -> Int:  # fmt: skip
    """Number of the word that reads ``codes[start:end]`` and then ``tail[a:b]``, by its hash."""
    bucket = value >> shift
    word, place = np.int64(buckets[bucket, 0]), np.int64(buckets[bucket, 1])
    stop = np.int64(buckets[bucket + np.uint64(1), 1])
    if word < 0 or not 0 <= place <= stop <= len(records):
        return DAMAGED
    wanted = np.int64(value & np.uint64(0xFFFFFFFF))
    while place + HEADER <= stop:
        found = np.int64(records[place]) | np.int64(records[place + 1]) << 8
        found |= np.int64(records[place + 2]) << 16 | np.int64(records[place + 3]) << 24
        length = np.int64(records[place + 4]) | np.int64(records[place + 5]) << 8
        place += HEADER
        if place + length > stop:
            return DAMAGED
        if found == wanted and _same(records, place, place + length, codes, start, end, tail, a, b):
            return word if word < size else DAMAGED
        place += length
        word += 1
    return NONE


@inlined
def _same(
    records: Bytes, place: Int, stop: Int,
    codes: Codes, start: Int, end: Int, tail: Codes, a: Int, b: Int,
) -> Int:  # fmt: skip
    place = _after(records, place, stop, codes, start, end)
    return place >= 0 and _after(records, place, stop, tail, a, b) == stop


@inlined
def _after(records: Bytes, place: Int, stop: Int, codes: Codes, start: Int, end: Int) -> Int:
    """Where a record goes on that reads ``codes[start:end]``, or `NONE`."""
    for i in range(start, end):
        if place >= stop:
            return NONE
        code, place = decode(records, place, stop)
        if code != codes[i]:
            return NONE
    return place


@compiled
def _read_plurals(
    tokens: TokenArrays, words: Words, plurals: Plurals, singulars: Numbers, counts: Bytes
) -> bool:
    """Fill in what tokens may be plurals of: irregular ones first, then by the rules in order."""
    codes, starts, ends = tokens.codes, tokens.starts, tokens.ends
    buckets, shift, records, size = words.buckets, words.shift, words.records, words.size
    hashes, words_of, bounds = (
        plurals.irregular_hashes, plurals.irregular.codes, plurals.irregular.starts,
    )  # fmt: skip
    endings, ending_starts, cuts = plurals.endings.codes, plurals.endings.starts, plurals.cuts
    barred, barred_starts, shortest = plurals.barred.codes, plurals.barred.starts, plurals.shortest
    tails, tail_starts = plurals.singulars.codes, plurals.singulars.starts
    first_rule = len(tail_starts) - 1 - len(cuts)
    for token in range(len(starts)):
        start, end = starts[token], ends[token]
        rules = _which_end(codes, start, end, endings, ending_starts)
        if rules and _which_end(codes, start, end, barred, barred_starts):
            rules = 0
        irregular = NONE
        if len(hashes):
            irregular = _irregular(codes, start, end, hashes, words_of, bounds)
        if not rules and irregular == NONE:
            continue
        for rule in range(-1, len(cuts)):
            if rule < 0:
                which, cut = irregular, start
                if irregular == NONE:
                    continue
            else:
                which, cut = first_rule + rule, end - cuts[rule]
                if not rules >> rule & 1 or end - start < shortest[rule]:
                    continue
            a, b = tail_starts[which], tail_starts[which + 1]
            value = finish(extend(extend(SEED, codes, start, cut), tails, a, b))
            word = _find(buckets, shift, records, size, value, codes, start, cut, tails, a, b)
            if word == DAMAGED:
                return False
            if word != NONE:
                singulars[token, counts[token]] = word
                counts[token] += 1
    return True


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
def _ends_in(codes: Codes, start: Int, end: Int, suffix: Codes, a: Int, b: Int) -> Int:
    if end - start < b - a:
        return False
    for back in range(1, b - a + 1):
        if codes[end - back] != suffix[b - back]:
            return False
    return True
