"""Words, rows and rules of the linking twin."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from openmofi.entities import kernels_rules
from openmofi.entities.kernels_hash import hash_stretches
from openmofi.entities.text import tokenize
from openmofi.entities.words import word_classes
from support import matcher_twin

CLASSES = (
    "DETERMINER", "PRONOUN", "PREPOSITION", "CONJUNCTION", "AUXILIARY", "ADVERB", "CHATTER",
    "ADJECTIVE", "NUMBER", "DIRECTION", "VERB", "THIRD_PERSON", "PARTICIPLE",
)  # fmt: skip
FUNCTION = {"determiner", "pronoun", "preposition", "conjunction", "auxiliary", "adverb"}
BEFORE_NOUNS = {"determiner", "adjective", "number"}


class Alias(NamedTuple):
    """A surface key and its candidates: entity, prior, flags."""

    key: str
    postings: list[tuple[int, float, int]]
    stops: bool


class Row(NamedTuple):
    """A mention, before any rule."""

    alias: Alias
    first: int
    last: int
    singular: Alias | None
    head: Alias | None
    head_at: int | None


class Link(NamedTuple):
    """One candidate of a mention that is kept."""

    mention: int
    text: int
    start: int
    end: int
    entity: int
    rank: int
    reasons: frozenset[str]
    prior: float
    agreement: float
    score: float


@dataclass
class Word:
    """A token as the rules see it."""

    key: str
    begin: int  # code points of the text
    end: int
    may_start: bool
    may_end: bool
    gap: str  # folded, between it and the word before
    written: str
    classes: set[str]
    in_mention: bool = False
    is_first: bool = False

    @property
    def follows(self) -> bool:
        """Goes on after the word before it."""
        return not self.is_first and not set(self.gap) - {" ", "'"}

    @property
    def begins_sentence(self) -> bool:
        quoted = "'" in self.gap and len(self.gap) > 1
        return self.is_first or quoted or bool(set(self.gap) & set(".:!?("))

    @property
    def case(self) -> str:
        first = self.written[:1]
        return "capital" if first.isupper() else "small" if first.islower() else ""

    @property
    def shouted(self) -> bool:
        big, small = (sum(map(is_case, self.written)) for is_case in (str.isupper, str.islower))
        return big > 1 and not small

    @property
    def is_function(self) -> bool:
        return bool(self.classes & FUNCTION)

    @property
    def ends_as_adverb(self) -> bool:
        """Ends in -ly and is no name or noun of the knowledge base."""
        ly = len(self.key) > 4 and self.key.endswith("ly") and not self.is_function
        return ly and not self.in_mention

    @property
    def is_content(self) -> bool:
        return not self.is_function


@functools.cache
def classes_of(key: str) -> frozenset[str]:
    """Classes of one word of ``words.txt``."""
    table = word_classes()
    tokens = tokenize([key])
    [value] = hash_stretches(tokens.codes, tokens.starts[:1], tokens.ends[-1:]).tolist()
    place = value & (len(table.hashes) - 1)
    while table.classes[place] and int(table.hashes[place]) != value:
        place = (place + 1) & (len(table.hashes) - 1)
    bits = int(table.classes[place])
    return frozenset(name.lower() for name in CLASSES if bits & getattr(kernels_rules, name))


def words_of(text: str) -> list[Word]:
    """A text cut and looked at."""
    folded = matcher_twin.characters(text)
    words: list[Word] = []
    before = 0
    for token in matcher_twin.cut(folded):
        part = folded[token.begin : token.end]
        key = matcher_twin.key_of(part)
        begin, end = part[0].begin, part[-1].end
        classes = set(classes_of(key))
        if not token.may_start:
            classes |= {"s": {"determiner"}, "t": {"auxiliary"}}.get(key[-1], set())
        if key[0] in "0123456789":
            classes.add("number")
        gap = matcher_twin.key_of(folded[before : token.begin])
        words.append(
            Word(
                key, begin, end, token.may_start, token.may_end, gap, text[begin:end], classes,
                is_first=not words,
            )
        )  # fmt: skip
        before = token.end
    return words


def cases_of(words: Sequence[Word]) -> tuple[bool, bool]:
    """Whether a text has words with a capital, and content words with a small letter."""
    return (
        any(word.case == "capital" for word in words),
        any(word.case == "small" and word.is_content for word in words),
    )


def find_rows(
    words: Sequence[Word], aliases: Mapping[str, Alias], plurals: Mapping[str, str]
) -> list[Row]:
    """The longest alias at the first word where one begins, stop phrases too; then on behind it."""

    def read(i: int, j: int) -> Iterator[tuple[bool, Alias]]:
        if not (words[i].may_start and words[j].may_end):
            return
        key = words[i].key + "".join(word.gap + word.key for word in words[i + 1 : j + 1])
        for number, one in enumerate(matcher_twin.readings(key, words[j].key, plurals)):
            if one in aliases:
                yield number == 0, aliases[one]

    rows, i = [], 0
    while i < len(words):
        for j in reversed(range(i, len(words))):
            found = list(read(i, j))
            if found:
                (as_written, alias), *others = found
                singular = others[0][1] if as_written and others else None
                if singular and (singular.stops or singular == alias or alias.stops):
                    singular = None
                head_at = None if alias.stops else _head(i, j, read)
                head = next(read(head_at, j))[1] if head_at is not None else None
                rows.append(Row(alias, i, j, singular, head, head_at))
                i = j
                break
        i += 1
    return rows


def _head(i: int, j: int, read) -> int | None:  # type: ignore[no-untyped-def]
    """Where the longest alias begins that the mention ends in."""
    for k in range(i + 1, j + 1):
        found = next(read(k, j), None)
        if found and not found[1].stops:
            return k
    return None


def rule_of(words: Sequence[Word], place: int) -> str:
    """The rule that drops a mention of this one word, or nothing."""
    own = words[place]
    before = words[place - 1] if own.follows else None
    goes_on = place + 1 < len(words) and words[place + 1].follows
    after = words[place + 1] if goes_on else None
    if "direction" in own.classes:
        return "direction"
    noun_after = bool(after and after.is_content and not after.ends_as_adverb)
    content_before = bool(before and before.is_content)
    alone = not after and (
        before is None or (before.classes <= {"determiner"} and before.is_function)
    )
    after_qualifier = bool(before and before.classes & BEFORE_NOUNS)
    if "number" in own.classes and (noun_after or not (alone or content_before)):
        return "number"
    if "adjective" in own.classes and (noun_after or not (alone or after_qualifier)):
        return "adjective"
    if own.classes & {"verb", "third_person", "participle"} and _acts(
        own.classes, before, after, content_before, noun_after
    ):
        return "verb"
    return ""


def _acts(
    own: set[str], before: Word | None, after: Word | None, content_before: bool, noun_after: bool
) -> bool:
    prior = before.classes if before else set()
    next_ = after.classes if after else set()
    if prior & {"auxiliary", "pronoun"} or ("participle" in own and noun_after):
        return True
    if prior & (BEFORE_NOUNS | {"preposition"}):
        return False
    if next_ & {"determiner", "pronoun", "adverb"} or (after and after.ends_as_adverb):
        return True
    if "preposition" in next_:
        return "participle" in own or ("third_person" in own and content_before)
    return False
