"""A slow, obvious twin of the alias matcher, made of `unicodedata` and regular expressions."""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

QUOTES = "\u2018\u2019\u201b\u02bc\u02b9\u2032\u0060\u00b4\uff07"
SIGNS = "\u2122\u2120"  # trade and service mark: NFKC would make letters of them
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class Mention:
    """Where an alias stands in a text, in code points."""

    start: int
    end: int
    key: str
    nested: bool = False


@dataclass(frozen=True)
class Character:
    """A folded character and the stretch of the original that it stands for."""

    folded: str
    begin: int
    end: int

    @property
    def kind(self) -> str:
        """W: of a word; S: a word of its own; M: a mark; a space; P: anything else."""
        category = unicodedata.category(self.folded)
        if category[0] in "LN":
            return "S" if UNSPACED.match(self.folded) else "W"
        if category[0] == "M":
            return "M"
        if category[0] == "S" or self.folded in "#@&%":
            return "S"
        spaces = category[0] == "Z" or category in ("Cc", "Pd", "Pc") or self.folded == "\u200b"
        return " " if spaces else "P"


@dataclass
class Token:
    """A stretch of a text's folded characters."""

    begin: int
    end: int
    may_start: bool
    may_end: bool


def fold(text: str) -> str:
    """NFKC and case folding; quotes alike; format characters and variation selectors vanish."""
    kept = "".join(c for c in text if c == "\u200b" or not (_is_format(c) or _is_selector(c)))
    signs = kept.translate(dict.fromkeys(map(ord, SIGNS), "\u00ae"))
    composed = unicodedata.normalize("NFKC", _straight(signs))
    return unicodedata.normalize("NFKC", _straight(composed).casefold())


def _straight(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, QUOTES), "'"))


def _is_format(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _follows(character: str) -> bool:
    """Marks, half-width voicing marks, and Hangul that a syllable before it takes in."""
    hangul = "\u1160" <= unicodedata.normalize("NFKC", character) <= "\u11ff"
    return unicodedata.category(character)[0] == "M" or character in "\uff9e\uff9f" or hangul


def characters(text: str) -> list[Character]:
    """The text folded. Where characters do not fold one by one, their group has one place."""
    text = re.sub("[\ud800-\udfff]", "\uffff", text)
    result: list[Character] = []
    begin = 0
    while begin < len(text):
        end = begin + 1
        while end < len(text) and (_follows(text[end]) or fold(text[end]) == ""):
            end += 1
        following = end
        while end > begin + 1 and not _follows(text[end - 1]):
            end -= 1
        group = text[begin:end]
        if fold(group) != "".join(map(fold, group)):
            result += [Character(one, begin, end) for one in fold(group)]
        else:
            for place, character in enumerate(group, begin):
                result += [Character(one, place, place + 1) for one in fold(character)]
                if _is_selector(character) and result:
                    last = result.pop()
                    result.append(Character(last.folded, last.begin, place + 1))
        begin = following
    return result


def key_of(part: list[Character]) -> str:
    """The surface key of some folded characters."""
    return re.sub(" +", " ", "".join(" " if one.kind == " " else one.folded for one in part))


def cut(text: list[Character]) -> list[Token]:
    """Words, and which of them a mention may begin or end with."""
    kinds = "".join(one.kind for one in text)
    tokens = [
        Token(
            a,
            b,
            a == 0 or text[a].begin != text[a - 1].begin,
            b == len(text) or text[b].begin != text[b - 1].begin,
        )
        for a, b in (found.span() for found in re.finditer("SM*|[WM]+", kinds))
    ]
    for one, other in itertools.pairwise(tokens):
        gap, word = key_of(text[one.end : other.begin]), key_of(text[other.begin : other.end])
        if gap == "'" and len(word) <= 2:
            other.may_start = False
            one.may_end &= word == "s"
        if gap in (".", ",") and re.fullmatch("[0-9]{2}", text[one.end - 1].folded + word[0]):
            other.may_start = one.may_end = False
    return tokens


def readings(key: str, word: str, plurals: Mapping[str, str]) -> Iterator[str]:
    """What a key may mean whose last word is ``word``: itself, or with the word made singular."""
    yield key
    head = key.removesuffix(word)
    if word in plurals:
        yield head + plurals[word]
    if word.endswith(("ss", "us", "is")):
        return
    for plural, singular, shortest in (("ies", "y", 4), ("s", "", 3), ("es", "", 4)):
        if word.endswith(plural) and len(word) >= shortest:
            yield head + word.removesuffix(plural) + singular
    if word.endswith("men") and len(word) >= 4:
        yield head + word.removesuffix("men") + "man"


def mentions(
    text: str,
    keys: Set[str],
    stops: Set[str] = frozenset(),
    plurals: Mapping[str, str] | None = None,
    *,
    nested: bool = False,
) -> list[Mention]:
    """The longest alias at the first word where one begins; then on behind it."""
    folded = characters(text)
    tokens = cut(folded)

    def alias(i: int, j: int) -> str | None:
        if not (tokens[i].may_start and tokens[j].may_end):
            return None
        key = key_of(folded[tokens[i].begin : tokens[j].end])
        word = key_of(folded[tokens[j].begin : tokens[j].end])
        return next(
            (one for one in readings(key, word, plurals or {}) if one in keys | stops), None
        )

    def mention(i: int, j: int, key: str, inside: bool) -> Mention:
        return Mention(folded[tokens[i].begin].begin, folded[tokens[j].end - 1].end, key, inside)

    result, i = [], 0
    while i < len(tokens):
        lasts = reversed(range(i, len(tokens)))
        j, hit = next(((j, hit) for j in lasts if (hit := alias(i, j)) is not None), (i, None))
        if hit is not None and hit not in stops:
            result.append(mention(i, j, hit, False))
            for a, b in _inner(i, j) if nested else ():
                inner = alias(a, b)
                if inner is not None and inner not in stops:
                    result.append(mention(a, b, inner, True))
        i = j + 1
    return result


def _inner(i: int, j: int) -> Iterator[tuple[int, int]]:
    """Proper parts of a span: by first token, the longer first."""
    for a in range(i, j + 1):
        for b in range(j, a - 1, -1):
            if (a, b) != (i, j):
                yield a, b


def surface_key(text: str) -> str:
    """From the first word to the last."""
    folded = characters(text)
    tokens = cut(folded)
    return key_of(folded[tokens[0].begin : tokens[-1].end]) if tokens else ""
