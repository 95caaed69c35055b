"""The alias matcher: longest match, left to right, over batches of texts.

All start positions of a batch go one token further at a time; a bitmap stops most of them at
once. What the sorted hashes find is compared with the stored string, so a collision of hashes can
never make a match. Words that are no alias as they stand are tried as plurals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmofi.entities.hashing import Hashes, RunningHash, mix, raw_hash
from openmofi.entities.index import CONTINUES, ENDS, MatcherIndex, load_index
from openmofi.entities.inflection import ENDINGS, NOT_PLURAL
from openmofi.entities.text import Bools, Ints, Tokens, tokenize


@dataclass(frozen=True)
class Matches:
    """Mentions of a batch, by text, then by place; none overlap."""

    tokens: Tokens
    aliases: Ints  # [mentions] row of the alias in the index
    first: Ints  # [mentions] first token
    last: Ints  # [mentions] last token, included

    @property
    def texts(self) -> Ints:
        """Which text each mention is in."""
        return self.tokens.texts[self.first]

    @property
    def starts(self) -> Ints:
        """Where each begins in its original text, in code points."""
        return self.tokens.first[self.first]

    @property
    def ends(self) -> Ints:
        """Where each ends."""
        return self.tokens.last[self.last]


@dataclass(frozen=True)
class _Variant:
    """One way to read the last token as a plural, for all tokens of a batch."""

    applies: Bools  # [tokens]
    cut: Ints  # [tokens] characters to drop at the end
    choice: Ints  # [tokens] index into `endings`
    endings: Sequence[str]
    hashes: Hashes  # [endings]


class AliasMatcher:
    """Finds aliases in texts."""

    def __init__(self, index: MatcherIndex) -> None:
        self.index = index
        self._shift = np.uint64(64 - (len(index.slots).bit_length() - 1))
        words = sorted(index.plurals)
        hashes = mix(np.array([raw_hash(word) for word in words], dtype=np.uint64))
        order = np.argsort(hashes, kind="stable")
        self._plural_words = [words[i] for i in order]
        self._plural_hashes = hashes[order]
        self._singulars = [index.plurals[word] for word in self._plural_words]
        self._singular_hashes = np.array([raw_hash(s) for s in self._singulars], dtype=np.uint64)
        self._ending_hashes = [np.array([raw_hash(e.singular)], np.uint64) for e in ENDINGS]

    @classmethod
    def load(cls, folder: Path) -> "AliasMatcher":
        """The matcher that a knowledge base's folder holds."""
        return cls(load_index(folder))

    def match(self, texts: Sequence[str]) -> Matches:
        """The mentions of a batch of texts."""
        return self.find(tokenize(texts))

    def look_up(self, key: str) -> int | None:
        """Row of the alias with exactly this surface key."""
        value = mix(np.array([raw_hash(key)], dtype=np.uint64))
        place = int(np.searchsorted(self.index.hashes, value)[0])
        return self._confirm(place, key) if place < len(self.index.hashes) else None

    def find(self, tokens: Tokens) -> Matches:
        """The mentions of a batch that is cut already."""
        best: dict[int, tuple[int, int]] = {}  # first token: (tokens, alias)
        if len(tokens.starts):
            for first, length, alias in self._hits(tokens):
                if best.get(first, (0, 0))[0] < length:
                    best[first] = (length, alias)
        chosen = [
            (alias, first, first + length - 1)
            for alias, first, length in _leftmost(best)
            if not self.index.stops[alias]
        ]
        columns = np.array(chosen, dtype=np.int64).reshape(-1, 3)
        return Matches(tokens, columns[:, 0], columns[:, 1], columns[:, 2])

    def _hits(self, tokens: Tokens) -> Iterator[tuple[int, int, int]]:
        """(first token, tokens, alias), shorter before longer, as written before plurals."""
        running = RunningHash(tokens.codes)
        variants = list(self._variants(tokens, running))
        live = np.flatnonzero(tokens.may_start)
        for length in range(1, self.index.max_tokens + 1):
            live = live[live + length <= len(tokens.starts)]
            live = live[tokens.texts[live] == tokens.texts[live + length - 1]]
            if not len(live):
                return
            last = live + length - 1
            raw = running.stretch(tokens.starts[live], tokens.ends[last])
            hashes = mix(raw)
            flags = self.index.slots[hashes >> self._shift]
            ending = tokens.may_end[last]
            yield from self._confirmed(tokens, live, length, hashes, ending & (flags & ENDS > 0))
            for variant in variants:
                yield from self._plural_hits(tokens, running, variant, live[ending], length)
            live = live[flags & CONTINUES > 0]

    def _confirmed(
        self, tokens: Tokens, live: Ints, length: int, hashes: Hashes, among: Bools
    ) -> Iterator[tuple[int, int, int]]:
        firsts, hashes = live[among], hashes[among]
        for first, place in self._places(firsts, hashes):
            alias = self._confirm(place, tokens.key(first, first + length - 1))
            if alias is not None:
                yield first, length, alias

    def _plural_hits(
        self, tokens: Tokens, running: RunningHash, variant: _Variant, live: Ints, length: int
    ) -> Iterator[tuple[int, int, int]]:
        live = live[variant.applies[live + length - 1]]
        if not len(live):
            return
        last = live + length - 1
        starts, ends = tokens.starts[live], tokens.ends[last] - variant.cut[last]
        stem = running.stretch(starts, ends)
        hashes = mix(running.append(stem, ends - starts, variant.hashes[variant.choice[last]]))
        hit = self.index.slots[hashes >> self._shift] & ENDS > 0
        for first, place in self._places(live[hit], hashes[hit]):
            token = first + length - 1
            end = tokens.ends[token] - variant.cut[token]
            ending = variant.endings[variant.choice[token]]
            alias = self._confirm(place, tokens.buffer[tokens.starts[first] : end] + ending)
            if alias is not None:
                yield first, length, alias

    def _places(self, firsts: Ints, hashes: Hashes) -> Iterator[tuple[int, int]]:
        places = np.searchsorted(self.index.hashes, hashes)
        inside = places < len(self.index.hashes)
        firsts, hashes, places = firsts[inside], hashes[inside], places[inside]
        equal = self.index.hashes[places] == hashes
        return zip(firsts[equal].tolist(), places[equal].tolist(), strict=True)

    def _confirm(self, place: int, key: str) -> int | None:
        """The alias at ``place``, or after it with the same hash, whose stored key is ``key``."""
        index = self.index
        value = index.hashes[place]
        while place < len(index.hashes) and index.hashes[place] == value:
            if index.key(place) == key:
                return place
            place += 1
        return None

    def _variants(self, tokens: Tokens, running: RunningHash) -> Iterator[_Variant]:
        lengths = tokens.ends - tokens.starts
        if self._plural_words:
            yield self._irregular(tokens, running, lengths)
        barred = np.zeros(len(lengths), np.bool_)
        for ending in NOT_PLURAL:
            barred |= _ends_in(tokens, ending)
        for rule, hashes in zip(ENDINGS, self._ending_hashes, strict=True):
            applies = _ends_in(tokens, rule.plural) & (lengths >= rule.shortest) & ~barred
            yield _Variant(
                applies,
                np.full(len(lengths), len(rule.plural), np.int64),
                np.zeros(len(lengths), np.int64),
                [rule.singular],
                hashes,
            )

    def _irregular(self, tokens: Tokens, running: RunningHash, lengths: Ints) -> _Variant:
        hashes = mix(running.stretch(tokens.starts, tokens.ends))
        places = np.searchsorted(self._plural_hashes, hashes)
        places = np.minimum(places, len(self._plural_hashes) - 1)
        applies = self._plural_hashes[places] == hashes
        for token in np.flatnonzero(applies).tolist():
            applies[token] = tokens.key(token, token) == self._plural_words[places[token]]
        return _Variant(applies, lengths, places, self._singulars, self._singular_hashes)


def _ends_in(tokens: Tokens, ending: str) -> Bools:
    found = tokens.ends - tokens.starts >= len(ending)
    for back, character in enumerate(reversed(ending), start=1):
        found &= tokens.codes[tokens.ends - back] == ord(character)
    return found


def _leftmost(best: dict[int, tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Greedy choice from left to right: (alias, first token, tokens)."""
    free = 0
    for first in sorted(best):
        length, alias = best[first]
        if first >= free:
            free = first + length
            yield alias, first, length
