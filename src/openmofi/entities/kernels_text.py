"""Compiled: texts to folded tokens."""

from typing import NamedTuple

import numpy as np

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_hash import Bools, Bytes, Int, Ints, decode
from openmofi.entities.unicode_tables import (
    DROP,
    LIMIT,
    MARK,
    PUNCTUATION,
    SEVERAL,
    SLOW,
    SOLO,
    SPACE,
    WORD,
    Codes,
    UnicodeTables,
)  # fmt: skip

_SPACE, _QUOTE, _DOT, _COMMA, _SMALL_S = 0x20, 0x27, 0x2E, 0x2C, 0x73


class Slow(NamedTuple):
    """Texts that Python folded: their characters one after the other."""

    marked: Bools  # [texts]
    starts: Ints  # [texts + 1] where each text's characters begin
    codes: Codes
    kinds: Bytes
    begins: Ints  # code point of the text where each character's source begins
    finishes: Ints  # where it ends


class TokenArrays(NamedTuple):
    """See `openmofi.entities.text.Tokens`."""

    codes: Codes
    starts: Ints
    ends: Ints
    texts: Ints
    first: Ints
    last: Ints
    may_start: Bools
    may_end: Bools


@compiled
def survey(data: Bytes, offsets: Ints, tables: UnicodeTables, slow: Bools) -> tuple[Int, Int]:
    """Mark the texts that `fold_cluster` must fold; count the characters of all others.

    Returns:
        Folded characters of the texts that are not marked; code points of the longest of them.
    """
    total, longest = 0, 0
    for text in range(len(offsets) - 1):
        place, end = offsets[text], offsets[text + 1]
        if is_ascii(data, place, end):
            total += end - place
            continue
        points, count = 0, 0
        order: Int = 0
        several: Int = False
        while place < end:
            points += 1
            if data[place] < 0x80:
                place += 1
                count += 1
                order, several = 0, False
                continue
            code, place = decode(data, place, end)
            fold = tables.fold[code] if code < LIMIT else np.uint32(SLOW)
            if fold == DROP:  # the marks before and behind it stand together
                continue
            mark = code < LIMIT and tables.kinds[code] == MARK
            own = np.int64(tables.orders[code]) if mark else 0
            if fold == SLOW or (mark and (several or 0 < own < order)):
                slow[text] = True
                break
            order = own
            several = SEVERAL <= fold < SLOW
            if several:
                which = fold - np.uint32(SEVERAL)
                count += tables.expansion_starts[which + 1] - tables.expansion_starts[which]
            else:
                count += 1
        if not slow[text]:
            total += count
            longest = max(longest, count, points)
    return total, longest


@inlined
def is_ascii(data: Bytes, place: Int, end: Int) -> Int:
    """Whether each byte is a character of its own."""
    high = np.uint8(0)
    for i in range(place, end):
        high |= data[i]
    return high < 0x80


@compiled
def code_points(data: Bytes, place: Int, end: Int) -> Codes:
    """One text's code points, garbled bytes as all other functions here see them."""
    codes, count = np.empty(end - place, np.uint32), 0
    while place < end:
        codes[count], place = decode(data, place, end)
        count += 1
    return codes[:count]


@compiled
def _fold(
    data: Bytes, place: Int, end: Int, tables: UnicodeTables,
    codes: Codes, kinds: Bytes, begins: Ints, finishes: Ints,
) -> Int:  # fmt: skip
    """Fold one text into the four arrays; return the number of characters."""
    count, point = 0, 0
    while place < end:
        code, place = decode(data, place, end)
        fold = tables.fold[code]
        if fold < SEVERAL:
            codes[count], kinds[count] = fold, tables.kinds[fold]
            begins[count], finishes[count] = point, point + 1
            count += 1
        elif fold == DROP:
            if count and tables.kinds[code] == MARK:  # a variation selector goes with its character
                finishes[count - 1] = point + 1
        else:
            which = fold - np.uint32(SEVERAL)
            for i in range(tables.expansion_starts[which], tables.expansion_starts[which + 1]):
                one = tables.expansions[i]
                codes[count], kinds[count] = one, tables.kinds[one]
                begins[count], finishes[count] = point, point + 1
                count += 1
        point += 1
    return count


@compiled
def tokenize(
    data: Bytes, offsets: Ints, tables: UnicodeTables, slow: Slow, characters: Int, longest: Int
) -> TokenArrays:
    """Fold and cut a batch; ``characters`` and ``longest`` are what `survey` and Python counted."""
    out = TokenArrays(
        np.empty(characters, np.uint32),
        np.empty(characters, np.int64),
        np.empty(characters, np.int64),
        np.empty(characters, np.int64),
        np.empty(characters, np.int64),
        np.empty(characters, np.int64),
        np.empty(characters, np.bool_),
        np.empty(characters, np.bool_),
    )
    codes, kinds = np.empty(longest, np.uint32), np.empty(longest, np.uint8)
    begins, finishes = np.empty(longest, np.int64), np.empty(longest, np.int64)
    written, tokens = 0, 0
    for text in range(len(offsets) - 1):
        before = tokens
        if is_ascii(data, offsets[text], offsets[text + 1]):
            written, tokens = _cut_ascii(
                data, offsets[text], offsets[text + 1], tables.fold, tables.kinds,
                out.codes, out.starts, out.ends, out.texts, out.first, out.last,
                text, written, tokens,
            )  # fmt: skip
            out.may_start[before:tokens] = True
            out.may_end[before:tokens] = True
        elif slow.marked[text]:
            a, b = slow.starts[text], slow.starts[text + 1]
            written, tokens = _cut(
                slow.codes[a:b], slow.kinds[a:b], slow.begins[a:b], slow.finishes[a:b],
                b - a, text, out, written, tokens,
            )  # fmt: skip
        else:
            count = _fold(
                data, offsets[text], offsets[text + 1], tables,
                codes, kinds, begins, finishes,
            )  # fmt: skip
            written, tokens = _cut(
                codes, kinds, begins, finishes, count, text, out, written, tokens
            )
        _bar_borders(out, before, tokens)
    return TokenArrays(
        out.codes[:written], out.starts[:tokens], out.ends[:tokens], out.texts[:tokens],
        out.first[:tokens], out.last[:tokens], out.may_start[:tokens], out.may_end[:tokens],
    )  # fmt: skip


@compiled
def _cut(
    codes: Codes, kinds: Bytes, begins: Ints, finishes: Ints, count: Int,
    text: Int, out: TokenArrays, written: Int, tokens: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """Append one text's characters and tokens; runs of spaces become one."""
    is_open, base = False, PUNCTUATION  # a mark takes the kind of what it stands on
    for i in range(count):
        kind = kinds[i]
        if kind == SPACE and i and kinds[i - 1] == SPACE:
            continue
        # A character that folds to several ("½" to "1⁄2") is matched whole or not at all.
        goes_on = i > 0 and begins[i] == begins[i - 1]
        inside = kind == WORD or kind == SOLO or kind == MARK
        begin = inside and (not is_open or kind == SOLO or (kind == WORD and base == SOLO))
        if is_open and (begin or not inside):
            out.ends[tokens], out.last[tokens] = written, finishes[i - 1]
            out.may_end[tokens] = not goes_on
            tokens += 1
        if begin:
            out.starts[tokens], out.first[tokens] = written, begins[i]
            out.may_start[tokens], out.texts[tokens] = not goes_on, text
        out.codes[written] = _SPACE if kind == SPACE else codes[i]
        written += 1
        is_open = inside
        if kind != MARK:
            base = kind
    if is_open:
        out.ends[tokens], out.last[tokens] = written, finishes[count - 1]
        out.may_end[tokens] = True
        tokens += 1
    return written, tokens


@compiled
def _cut_ascii(
    data: Bytes, begin: Int, end: Int, fold: Codes, kinds: Bytes, codes: Codes,
    starts: Ints, ends: Ints, texts: Ints, first: Ints, last: Ints,
    text: Int, written: Int, tokens: Int,
) -> tuple[Int, Int]:  # fmt: skip
    """As `_fold` and `_cut` for a text in which bytes, characters and folded characters agree."""
    before = PUNCTUATION
    for place in range(begin, end):
        code = fold[data[place]]
        kind = kinds[code]
        if kind == SPACE and before == SPACE and place > begin:
            continue
        if before == WORD or before == SOLO:
            if kind != WORD or before == SOLO:
                ends[tokens], last[tokens] = written, place - begin
                tokens += 1
        if kind == SOLO or (kind == WORD and before != WORD):
            starts[tokens], first[tokens], texts[tokens] = written, place - begin, text
        codes[written] = _SPACE if kind == SPACE else code
        written += 1
        before = kind
    if before == WORD or before == SOLO:
        ends[tokens], last[tokens] = written, end - begin
        tokens += 1
    return written, tokens


@compiled
def _bar_borders(out: TokenArrays, begin: Int, end: Int) -> None:
    """No mention starts or ends inside ``don't``, ``Ann's`` or ``0.50``."""
    codes = out.codes
    for i in range(begin + 1, end):
        if out.starts[i] != out.ends[i - 1] + 1:
            continue
        gap, length = codes[out.ends[i - 1]], out.ends[i] - out.starts[i]
        if gap == _QUOTE and length <= 2:
            out.may_start[i] = False
            if not (length == 1 and codes[out.starts[i]] == _SMALL_S):
                out.may_end[i - 1] = False
        elif gap == _DOT or gap == _COMMA:
            if _is_digit(codes[out.ends[i - 1] - 1]) and _is_digit(codes[out.starts[i]]):
                out.may_start[i] = out.may_end[i - 1] = False


@compiled
def _is_digit(code: Int) -> Int:
    return 0x30 <= code <= 0x39
