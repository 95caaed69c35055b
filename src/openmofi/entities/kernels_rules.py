"""Compiled: what a token looks like in its text, and whether a noun can stand where a mention does.

The rules read a window of one token on each side and the word's classes of ``words.txt``. They drop
single words alone: a longer alias is a mention wherever it stands.
"""

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_hash import SEED, Bytes, Hashes, Int, Ints, decode, extend, finish
from openmofi.entities.kernels_text import TokenArrays, is_ascii
from openmofi.entities.unicode_tables import LIMIT

Traits = npt.NDArray[np.uint32]

# Classes of words, from ``words.txt``.
DETERMINER, PRONOUN, PREPOSITION, AUXILIARY, ADVERB = 0x1, 0x2, 0x4, 0x8, 0x10
CHATTER, ADJECTIVE, NUMBER, DIRECTION = 0x20, 0x40, 0x80, 0x100
VERB, THIRD_PERSON, PARTICIPLE = 0x200, 0x400, 0x800  # base form, -s, -ing or -ed
CONJUNCTION = 0x80000
# What a token looks like where it stands.
LY = 0x1000  # ends as adverbs do
JOINED = 0x2000  # goes on after the token before it: no full stop, comma or bracket between
SENTENCE = 0x4000  # begins a sentence, a quotation or a bracket
CAPITAL, SMALL, SHOUTED = 0x8000, 0x10000, 0x20000  # first letter; all letters of two and more
MENTION = 0x40000  # is part of what an alias matches

FUNCTION = DETERMINER | PRONOUN | PREPOSITION | CONJUNCTION | AUXILIARY | ADVERB
_VERBS = VERB | THIRD_PERSON | PARTICIPLE
_BEFORE_NOUNS = DETERMINER | ADJECTIVE | NUMBER

# Why a mention is dropped; `RULES` names them in the report.
KEPT, FUNCTION_WORD, STOCK_CHATTER, COUNTING, QUALIFYING, DIRECTING, ACTING, NOT_SHOWN = range(8)
RULES = (
    "kept",
    "function_word",
    "chatter",
    "number",
    "adjective",
    "direction",
    "verb",
    "not_shown",
)

UPPER, LOWER = 1, 2  # of the table of letters' cases

_SPACE, _QUOTE, _DOT, _COLON = 0x20, 0x27, 0x2E, 0x3A
_BANG, _QUESTION, _BRACKET, _SMALL_S, _SMALL_T = 0x21, 0x3F, 0x28, 0x73, 0x74
_SMALL_L, _SMALL_Y = 0x6C, 0x79


@compiled
def describe(
    data: Bytes, offsets: Ints, tokens: TokenArrays, cases: Bytes, hashes: Hashes, classes: Traits
) -> Traits:
    """Traits of all tokens of a batch.

    Args:
        data: UTF-8 of the texts as they are written.
        offsets: ``[texts + 1]`` where each begins.
        tokens: The batch.
        cases: ``[LIMIT]`` `UPPER`, `LOWER` or 0 of each code point.
        hashes: Of `openmofi.entities.words.WordClasses`.
        classes: Likewise.
    """
    codes, starts, ends, texts = tokens.codes, tokens.starts, tokens.ends, tokens.texts
    firsts, lasts, may_start = tokens.first, tokens.last, tokens.may_start
    found = np.zeros(len(starts), np.uint32)
    mask = np.uint64(len(hashes) - 1)
    text: Int = -1
    place: Int = 0
    point: Int = 0
    plain: Int = True
    for i in range(len(starts)):
        if texts[i] != text:
            text = texts[i]
            place, point = offsets[text], 0
            plain = is_ascii(data, offsets[text], offsets[text + 1])
        if plain:
            place, point = offsets[text] + firsts[i], firsts[i]
        while point < firsts[i]:
            _, place = decode(data, place, offsets[text + 1])
            point += 1
        shape, place, point = _shape(data, place, offsets[text + 1], point, lasts[i], cases)
        value = finish(extend(SEED, codes, starts[i], ends[i]))
        slot = value & mask
        while classes[slot] and hashes[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        look: Int = shape | classes[slot]
        if not may_start[i]:  # "Ann's" asks for a noun, "don't" for a verb
            last = codes[ends[i] - 1]
            look |= DETERMINER if last == _SMALL_S else AUXILIARY if last == _SMALL_T else 0
        if ends[i] - starts[i] > 4 and not look & FUNCTION:
            ly = codes[ends[i] - 2] == _SMALL_L and codes[ends[i] - 1] == _SMALL_Y
            look |= LY if ly else 0
        if 0x30 <= codes[starts[i]] <= 0x39:
            look |= NUMBER
        same = i > 0 and texts[i] == texts[i - 1]
        look |= _border(codes, ends[i - 1], starts[i]) if same else SENTENCE
        found[i] = look
    return found


@inlined
def _shape(
    data: Bytes, place: Int, end: Int, point: Int, last: Int, cases: Bytes
) -> tuple[Int, Int, Int]:
    """Case of a token's letters; where its text goes on, in bytes and in code points."""
    upper, lower, length = 0, 0, last - point
    first: Int = 0
    while point < last and place < end:
        code, place = decode(data, place, end)
        case = cases[code] if code < LIMIT else 0
        upper += case == UPPER
        lower += case == LOWER
        if point == last - length:
            first = case
        point += 1
    look = CAPITAL if first == UPPER else SMALL if first == LOWER else 0
    return (look | SHOUTED if upper > 1 and not lower else look), place, point


@inlined
def _border(codes: npt.NDArray[np.uint32], begin: Int, end: Int) -> Int:
    """What stands between two tokens says of the second."""
    joined, sentence = True, False
    for i in range(begin, end):
        code = codes[i]
        joined = joined and (code == _SPACE or code == _QUOTE)
        sentence = sentence or (
            code == _DOT or code == _COLON or code == _BANG or code == _QUESTION
            or code == _BRACKET or (code == _QUOTE and end - begin > 1)
        )  # fmt: skip
    return (JOINED if joined else 0) | (SENTENCE if sentence else 0)


@compiled
def rule_of(traits: Traits, token: Int) -> Int:
    """The rule by which a mention of this one word is dropped, or `KEPT`."""
    own = traits[token]
    before = traits[token - 1] if own & JOINED else np.uint32(0)
    goes_on = token + 1 < len(traits) and traits[token + 1] & JOINED
    after = traits[token + 1] if goes_on else np.uint32(0)
    if own & DIRECTION:
        return DIRECTING
    content_after = goes_on and not after & FUNCTION and not (after & LY and not after & MENTION)
    content_before = own & JOINED and not before & FUNCTION
    alone = not content_before and not goes_on and not before & ~(DETERMINER | JOINED | _LOOKS)
    if own & NUMBER and (content_after or not (alone or content_before)):
        return COUNTING
    if own & ADJECTIVE and (content_after or not (alone or before & _BEFORE_NOUNS)):
        return QUALIFYING
    if own & _VERBS and _acts(own, before, after, content_before, content_after):
        return ACTING
    return KEPT


_LOOKS = SENTENCE | CAPITAL | SMALL | SHOUTED | MENTION | LY


@inlined
def _acts(own: Int, before: Int, after: Int, content_before: Int, content_after: Int) -> Int:
    """Whether a word that may be a verb stands where a verb does."""
    if before & (AUXILIARY | PRONOUN) or (own & PARTICIPLE and content_after):
        return True
    if before & (_BEFORE_NOUNS | PREPOSITION):
        return False
    if after & (DETERMINER | PRONOUN | ADVERB) or (after & LY and not after & MENTION):
        return True
    if after & PREPOSITION:
        return own & PARTICIPLE or (own & THIRD_PERSON and content_before)
    return False
