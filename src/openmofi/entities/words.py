"""What ``words.txt`` says of English words: stop phrases, and classes that the rules look at.

The rules themselves are in `openmofi.entities.kernels_rules`. A word that is in no section is taken
for a noun, or a name.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.entities.kernels_hash import Hashes, fixed, hash_stretches
from openmofi.entities.kernels_rules import (
    ADJECTIVE,
    ADVERB,
    AUXILIARY,
    CHATTER,
    CONJUNCTION,
    DETERMINER,
    DIRECTION,
    LOWER,
    NUMBER,
    PARTICIPLE,
    PREPOSITION,
    PRONOUN,
    THIRD_PERSON,
    UPPER,
    VERB,
    Traits,
    describe,
)
from openmofi.entities.text import Tokens, string_buffers, surface_keys, tokenize
from openmofi.entities.unicode_tables import LIMIT
from openmofi.keys import hash_bytes

_STOPS = {
    "determiners": DETERMINER,
    "pronouns": PRONOUN,
    "prepositions": PREPOSITION,
    "conjunctions": CONJUNCTION,
    "auxiliaries": AUXILIARY,
    "adverbs": ADVERB,
    "fillers": CHATTER,
    "chatter": CHATTER,
}
_SELDOM_NOUNS = {
    "colours": ADJECTIVE,
    "demonyms": ADJECTIVE,
    "adjectives": ADJECTIVE,
    "numbers": NUMBER,
    "directions": DIRECTION,
    "verbs": VERB,
}
_NOUNS = "nouns all the same"
_SIBILANTS = ("s", "x", "z", "ch", "sh")
_VOWELS = "aeiou"


class WordClasses(NamedTuple):
    """Classes of words by hash, open addressing; an empty place has the class 0."""

    hashes: Hashes  # [2^k]
    classes: npt.NDArray[np.uint32]  # [2^k]


@functools.lru_cache(maxsize=1)
def stop_phrases() -> tuple[str, ...]:
    """Surface keys of all words and phrases that are no mention on their own, in file order."""
    sections = _sections()
    entries = [entry for name in _STOPS for entry in sections[name]]
    return tuple(dict.fromkeys(key for key, _ in surface_keys(entries)))


@functools.lru_cache(maxsize=1)
def word_classes() -> WordClasses:
    """The classes of all single words of the file, and of the verbs' regular forms."""
    found: dict[str, int] = defaultdict(int)
    sections = _sections()
    for name, bit in (_STOPS | _SELDOM_NOUNS).items():
        for key, length in surface_keys(sections[name]):
            if length == 1:
                found[key] |= bit
    nouns = set(sections[_NOUNS])
    for verb in sections["verbs"]:
        for form, bit in _forms(verb):
            if form not in nouns:
                found[form] |= bit
    return _table(found)


@functools.lru_cache(maxsize=1)
def words_digest() -> str:
    """Of the file: what changes it changes links."""
    return hash_bytes(_data())


def _data() -> bytes:
    return resources.files(__package__).joinpath("words.txt").read_bytes()


@functools.lru_cache(maxsize=1)
def _letter_cases() -> npt.NDArray[np.uint8]:
    """`UPPER` or `LOWER` of each code point."""
    cases = np.zeros(LIMIT, np.uint8)
    for code in range(LIMIT):
        letter = chr(code)
        cases[code] = UPPER if letter.isupper() else LOWER if letter.islower() else 0
    return fixed(cases)


def token_traits(texts: pa.Array, tokens: Tokens) -> Traits:
    """What the rules see of each token: its classes, and what it looks like where it stands.

    Args:
        texts: As they are written.
        tokens: The same, cut.
    """
    data, offsets = string_buffers(texts)
    return describe(data, offsets, tokens.arrays, _letter_cases(), *word_classes())


def _sections() -> Mapping[str, list[str]]:
    lines = _data().decode("utf-8").splitlines()
    sections: dict[str, list[str]] = {}
    for line in lines:
        text = line.partition("#")[0].strip()
        if text.startswith("["):
            current = sections.setdefault(text.strip("[]"), [])
        elif text:
            current.extend(word.strip() for word in text.split(","))
    return sections


def _forms(verb: str) -> Iterator[tuple[str, int]]:
    """Regular forms of a verb besides the base. A form that nobody writes does no harm."""
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        yield from ((verb[:-1] + "ies", THIRD_PERSON), (verb[:-1] + "ied", PARTICIPLE))
    else:
        yield verb + ("es" if verb.endswith((*_SIBILANTS, "o")) else "s"), THIRD_PERSON
    stems = [verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb]
    if verb[-1] not in _VOWELS + "wxy" and verb[-2:-1] in list(_VOWELS):
        stems.append(verb + verb[-1])
    for stem in stems:
        yield from ((stem + "ing", PARTICIPLE), (stem + "ed", PARTICIPLE))


def _table(found: Mapping[str, int]) -> WordClasses:
    tokens = tokenize(list(found))
    hashes = hash_stretches(tokens.codes, tokens.starts, tokens.ends)
    size = 1 << (4 * len(found)).bit_length()
    table = WordClasses(np.zeros(size, np.uint64), np.zeros(size, np.uint32))
    for value, bits in zip(hashes.tolist(), found.values(), strict=True):
        place = value & (size - 1)
        while table.classes[place]:
            place = (place + 1) & (size - 1)
        table.hashes[place], table.classes[place] = value, bits
    return table
