"""What each code point folds to, and what it is to a word: Unicode's rules as arrays.

NFKC and case folding, as Python's `unicodedata` has them. A knowledge base keeps the tables that
its aliases were folded with, so that texts are folded the same way under another Python.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint32]

PUNCTUATION, WORD, SOLO, MARK, SPACE = range(5)

# In the fold table, beside code points: these are above all of them.
DROP = 0xFFFFFFFF  # vanishes
SLOW = 0xFFFFFFFE  # may compose with what stands before it: `fold_cluster` decides
SEVERAL = 0x80000000  # folds to several code points; the other bits say which

LIMIT = 0x20000  # rarer code points are left to Python

_SUBSTITUTES = {
    **dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9\u2032\u0060\u00b4\uff07", "'"),
    # NFKC makes letters of them, which would grow onto the name before.
    **dict.fromkeys("\u2122\u2120", "\u00ae"),
}
# What joins the character before it without being a mark: half-width voicing marks, and vowels and
# finals of Hangul, those too that only NFKC makes so.
_JOINING = frozenset(
    character
    for low, high in ((0x1160, 0x11FF), (0x3131, 0x318E), (0xFFA0, 0xFFDC))
    for character in map(chr, range(low, high + 1))
    if "\u1160" <= unicodedata.normalize("NFKC", character) <= "\u11ff"
) | {"\uff9e", "\uff9f"}
# Written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x30FF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip


class UnicodeTables(NamedTuple):
    """One entry a code point below `LIMIT`.

    Args:
        fold: Folded code point, or `DROP`, `SLOW`, or `SEVERAL` plus an index.
        kinds: `PUNCTUATION`, `WORD`, `SOLO` (a word of its own), `MARK` or `SPACE`.
        orders: Canonical combining class; marks out of this order are sorted by `fold_cluster`.
        expansion_starts: Where each expansion begins in ``expansions``, and the end of the last.
        expansions: What `SEVERAL` stands for, one after the other.
    """

    fold: Codes
    kinds: npt.NDArray[np.uint8]
    orders: npt.NDArray[np.uint8]
    expansion_starts: npt.NDArray[np.int64]
    expansions: Codes


@functools.lru_cache(maxsize=1)
def unicode_tables() -> UnicodeTables:
    """The tables of this Python's Unicode version; made once a process."""
    fold = np.empty(LIMIT, dtype=np.uint32)
    kinds = np.empty(LIMIT, dtype=np.uint8)
    orders = np.zeros(LIMIT, dtype=np.uint8)
    starts, expansions = [0], list[int]()
    composing = _composing()
    for code in range(LIMIT):
        character = chr(code)
        kinds[code] = kind(character)
        folded = _fold(character)
        if joins(character):
            orders[code] = unicodedata.combining(character)
            plain = folded == character and code not in composing
            fold[code] = code if plain else DROP if ignorable(character) else SLOW
        elif any(ord(one) >= LIMIT for one in folded):
            fold[code] = SLOW
        elif len(folded) == 1:
            fold[code] = ord(folded)
        elif folded:
            fold[code] = SEVERAL | len(starts) - 1
            expansions.extend(map(ord, folded))
            starts.append(len(expansions))
        else:
            fold[code] = DROP
    return UnicodeTables(
        fold, kinds, orders, np.array(starts, np.int64), np.array(expansions, np.uint32)
    )


@functools.lru_cache(maxsize=1 << 16)
def fold_cluster(cluster: str) -> str:
    """NFKC and case folding of one base character with its marks; ignorable characters vanish."""
    return _fold(cluster)


def _fold(cluster: str) -> str:
    plain = "".join(_SUBSTITUTES.get(c, c) for c in cluster if not ignorable(c))
    # Once more, since NFKC makes some of them: "″" is two of "′".
    composed = "".join(_SUBSTITUTES.get(c, c) for c in unicodedata.normalize("NFKC", plain))
    return unicodedata.normalize("NFKC", composed.casefold())


@functools.lru_cache(maxsize=1 << 14)
def joins(character: str) -> bool:
    """Whether it belongs to the character before it."""
    return unicodedata.category(character)[0] == "M" or character in _JOINING


def kind(character: str) -> int:
    """What a folded character is to a word."""
    category = unicodedata.category(character)
    if category[0] in "LN":
        code = ord(character)
        return SOLO if any(low <= code <= high for low, high in _UNSPACED) else WORD
    if category[0] == "M":
        return MARK
    if category[0] == "S" or character in "#@&%":
        return SOLO
    if category[0] == "Z" or category in ("Cc", "Pd", "Pc") or character == "\u200b":
        return SPACE
    return PUNCTUATION


@functools.lru_cache(maxsize=1 << 14)
def ignorable(character: str) -> bool:
    """Format characters and variation selectors; the zero-width space separates words."""
    if character == "\u200b":
        return False
    code = ord(character)
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    return selector or unicodedata.category(character) == "Cf"


def _composing() -> set[int]:
    """Code points that NFC may merge with one before them."""
    second = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # Hangul, by rule
    for code in range(LIMIT):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second.add(int(parts[1], 16))
    return second
