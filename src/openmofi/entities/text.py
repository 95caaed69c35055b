"""Texts as folded tokens whose offsets still point into the original.

A batch of texts becomes one buffer of code points: NFKC and case folded, hyphens, underscores and
white space as single spaces, quotes as ``'``. A stretch of the buffer between two token borders is
the *surface key* of those words: what aliases are compared by.

Word borders follow Unicode's general categories: letters, marks and numbers make words; scripts
written without spaces make one token a character, and so do symbols (``C++``, ``€``).
"""

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]

_PUNCTUATION, _WORD, _SOLO, _MARK, _SPACE = range(5)
_SLOW = np.uint32(0xFFFFFFFF)  # in the fold table: not one code point, or joins its neighbour

_SUBSTITUTES = {
    **dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9\u2032\u0060\u00b4\uff07", "'"),
    # NFKC makes letters of them, which would grow onto the name before.
    **dict.fromkeys("\u2122\u2120", "\u00ae"),
}
# Written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x30FF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip


@dataclass(frozen=True)
class Tokens:
    """A batch of texts as tokens over one buffer of folded code points."""

    codes: Codes  # [characters] the buffer
    starts: Ints  # [tokens] where each token begins in the buffer
    ends: Ints  # [tokens] where it ends
    texts: Ints  # [tokens] which text it is in
    first: Ints  # [tokens] where it begins in its original text, in code points
    last: Ints  # [tokens] where it ends there
    may_start: Bools  # [tokens] a mention may begin with it
    may_end: Bools  # [tokens] a mention may end with it

    @functools.cached_property
    def buffer(self) -> str:
        """The buffer as a string, for slicing surface keys."""
        return self.codes.tobytes().decode("utf-32-le", "surrogatepass")

    def key(self, first: int, last: int) -> str:
        """Surface key of the tokens ``first`` to ``last``, the last one included."""
        return self.buffer[self.starts[first] : self.ends[last]]


def tokenize(texts: Sequence[str]) -> Tokens:
    """Fold and cut a batch of texts."""
    codes, begins, finishes, bounds = _fold(texts)
    kinds = _kinds(codes)
    spaces = kinds == _SPACE
    codes = np.where(spaces, np.uint32(0x20), codes)
    # A character that folds to several ("½" to "1⁄2") is matched whole or not at all.
    goes_on = np.concatenate(([False], begins[1:] == begins[:-1]))
    keep = ~(spaces & np.concatenate(([False], spaces[:-1])))
    codes, kinds, begins, finishes = codes[keep], kinds[keep], begins[keep], finishes[keep]
    starts, ends = _cut(kinds)
    owners = np.searchsorted(bounds, begins[starts], side="right") - 1 if len(starts) else starts
    may_start, may_end = _borders(codes, starts, ends, owners)
    split = np.concatenate((goes_on[keep], [False]))
    return Tokens(
        codes=codes,
        starts=starts,
        ends=ends,
        texts=owners,
        first=begins[starts] - bounds[owners],
        last=finishes[ends - 1] - bounds[owners],
        may_start=may_start & ~split[starts],
        may_end=may_end & ~split[ends],
    )


def surface_key(text: str) -> str:
    """The key by which ``text`` is found as a whole; empty if it has no word."""
    tokens = tokenize([text])
    return tokens.key(0, len(tokens.starts) - 1) if len(tokens.starts) else ""


def _fold(texts: Sequence[str]) -> tuple[Codes, Ints, Ints, Ints]:
    """Folded code points; begin and end of each one's source in the joined texts; text bounds."""
    joined = "\n".join(texts) + "\n"
    source = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts))
    bounds = np.concatenate(([0], np.cumsum(lengths)))[:-1].astype(np.int64)
    fold, _ = _tables()
    codes = fold[np.minimum(source, len(fold) - 1)]
    positions = np.arange(len(source), dtype=np.int64)
    slow = np.flatnonzero(codes == _SLOW)
    if not len(slow):
        return codes, positions, positions + 1, bounds
    pieces: list[tuple[Codes, Ints, Ints]] = []
    done = 0
    for index in np.unique(np.searchsorted(bounds, slow, side="right") - 1):
        begin, finish = int(bounds[index]), int(bounds[index] + lengths[index])
        pieces.append((codes[done:begin], positions[done:begin], positions[done:begin] + 1))
        pieces.append(_fold_slowly(joined[begin:finish], begin))
        done = finish
    pieces.append((codes[done:], positions[done:], positions[done:] + 1))
    folded, begins, finishes = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return folded, begins, finishes, bounds


def _fold_slowly(text: str, base: int) -> tuple[Codes, Ints, Ints]:
    """One text, cluster by cluster: a base character with what joins it."""
    codes: list[int] = []
    begins: list[int] = []
    finishes: list[int] = []
    index = 0
    while index < len(text):
        after = index + 1
        while after < len(text) and _joins(text[after]):
            after += 1
        folded = fold_cluster(text[index:after])
        codes.extend(map(ord, folded))
        begins.extend([base + index] * len(folded))
        finishes.extend([base + after] * len(folded))
        index = after
    return (
        np.array(codes, dtype=np.uint32),
        np.array(begins, dtype=np.int64),
        np.array(finishes, dtype=np.int64),
    )


@functools.lru_cache(maxsize=1 << 16)
def fold_cluster(cluster: str) -> str:
    """NFKC and case folding of one base character with its marks; ignorable characters vanish."""
    plain = "".join(_SUBSTITUTES.get(c, c) for c in cluster if not _ignorable(c))
    folded = unicodedata.normalize("NFKC", plain).casefold()
    return unicodedata.normalize("NFKC", folded)


@functools.lru_cache(maxsize=1 << 16)
def _joins(character: str) -> bool:
    """Whether it may compose with the character before it."""
    # Conjoining vowels and finals of Hangul, half-width voicing marks; all others are marks.
    return (
        unicodedata.category(character)[0] == "M"
        or "\u1160" <= character <= "\u11ff"
        or character in "\uff9e\uff9f"
    )


def _ignorable(character: str) -> bool:
    """Format characters and variation selectors; the zero-width space separates words."""
    if character == "\u200b":
        return False
    code = ord(character)
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    return selector or unicodedata.category(character) == "Cf"


@functools.lru_cache(maxsize=1)
def _tables() -> tuple[Codes, npt.NDArray[np.uint8]]:
    """Fold and kind of every code point of the basic plane; the last entry stands for the rest."""
    fold = np.full(0x10001, _SLOW, dtype=np.uint32)
    kinds = np.zeros(0x10000, dtype=np.uint8)
    for code in range(0x10000):
        character = chr(code)
        kinds[code] = _kind(character)
        folded = fold_cluster.__wrapped__(character)
        if len(folded) == 1 and not _joins.__wrapped__(character):
            fold[code] = ord(folded)
    return fold, kinds


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if category[0] in "LN":
        code = ord(character)
        return _SOLO if any(low <= code <= high for low, high in _UNSPACED) else _WORD
    if category[0] == "M":
        return _MARK
    if category[0] == "S" or character in "#@&%":
        return _SOLO
    if category[0] == "Z" or category in ("Cc", "Pd", "Pc") or character == "\u200b":
        return _SPACE
    return _PUNCTUATION


def _kinds(codes: Codes) -> npt.NDArray[np.uint8]:
    _, table = _tables()
    high = codes >= len(table)
    kinds = table[np.where(high, 0, codes)]
    if high.any():
        values, inverse = np.unique(codes[high], return_inverse=True)
        kinds[high] = np.array([_kind(chr(v)) for v in values], dtype=np.uint8)[inverse]
    return kinds


def _cut(kinds: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Begin and end of every token."""
    inside = (kinds == _WORD) | (kinds == _SOLO) | (kinds == _MARK)
    before = np.concatenate(([False], inside[:-1]))
    # A mark takes the kind of what it stands on, so that a word after it starts anew or goes on.
    base_at = np.maximum.accumulate(np.where(kinds == _MARK, 0, np.arange(len(kinds))))
    base = kinds[base_at]
    base_before = np.concatenate(([0], base[:-1])).astype(np.uint8)
    begins = inside & (
        ~before | (kinds == _SOLO) | ((kinds == _WORD) & (base_before == _SOLO))
    )  # [characters]
    next_begins = np.concatenate((begins[1:], [False]))
    next_inside = np.concatenate((inside[1:], [False]))
    finishes = inside & (~next_inside | next_begins)
    return np.flatnonzero(begins), np.flatnonzero(finishes) + 1


def _borders(codes: Codes, starts: Ints, ends: Ints, owners: Ints) -> tuple[Bools, Bools]:
    """Where mentions may start and end: not inside ``don't``, ``Ann's`` or ``0.50``."""
    count = len(starts)
    may_start, may_end = np.ones(count, np.bool_), np.ones(count, np.bool_)
    if count < 2:
        return may_start, may_end
    tight = (starts[1:] == ends[:-1] + 1) & (owners[1:] == owners[:-1])
    gap = codes[ends[:-1]]
    short = ends[1:] - starts[1:] <= 2
    clitic = tight & (gap == ord("'")) & short
    possessive = clitic & (ends[1:] - starts[1:] == 1) & (codes[starts[1:]] == ord("s"))
    decimal = tight & np.isin(gap, [ord("."), ord(",")])
    decimal &= _is_digit(codes[ends[:-1] - 1]) & _is_digit(codes[starts[1:]])
    may_start[1:] = ~clitic & ~decimal
    may_end[:-1] = ~(clitic & ~possessive) & ~decimal
    return may_start, may_end


def _is_digit(codes: Codes) -> Bools:
    return (codes >= ord("0")) & (codes <= ord("9"))
