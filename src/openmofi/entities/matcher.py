"""The alias matcher: longest match, left to right, over batches or whole columns of texts.

The index is mapped once and shared: threads read it without the interpreter's lock, processes read
the same pages. A match is confirmed against the stored string, so a collision of hashes can never
make one. Words that are no alias as they stand are tried as plurals.
"""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.entities.index import MatcherIndex, load_index
from openmofi.entities.index_checks import damaged
from openmofi.entities.inflection import ENDINGS, NOT_PLURAL
from openmofi.entities.kernels_hash import Bools, Hashes, Ints, hash_stretches
from openmofi.entities.kernels_match import NESTED, PLAIN, look_up, search
from openmofi.entities.kernels_words import DAMAGED, Plurals, Strings
from openmofi.entities.text import Tokens, tokenize
from openmofi.entities.unicode_tables import Codes

_BATCH_TEXTS = 2_500
_BATCH_BYTES = 1 << 20


@dataclass(frozen=True)
class Matches:
    """Mentions of a batch, by text, then by place.

    None overlap, unless nested ones were asked for: those stand after the one that they are in,
    the outer before the inner.
    """

    tokens: Tokens
    aliases: Ints  # [mentions] row of the alias in the index
    first: Ints  # [mentions] first token
    last: Ints  # [mentions] last token, included
    nested: Bools  # [mentions] lies inside another

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
class Spans:
    """Mentions of a column of texts, in the order of `Matches`."""

    texts: Ints  # [mentions] row of the column
    starts: Ints  # [mentions] where it begins in its text, in code points
    ends: Ints  # [mentions] where it ends
    aliases: Ints  # [mentions] row of the alias in the index
    nested: Bools  # [mentions] lies inside another


class AliasMatcher:
    """Finds aliases in texts."""

    def __init__(self, index: MatcherIndex) -> None:
        self.index = index
        self._searched = index.searched

    @classmethod
    def load(cls, folder: Path) -> "AliasMatcher":
        """The matcher that a knowledge base's folder holds."""
        return cls(load_index(folder))

    @functools.cached_property
    def _plurals(self) -> Plurals:
        # Not when the matcher is loaded: the first compiled call of a process takes longer.
        return _plurals(self.index)

    def match(self, texts: Sequence[str] | pa.Array, *, nested: bool = False) -> Matches:
        """The mentions of a batch of texts.

        Args:
            texts: Strings or an Arrow array of them.
            nested: Also give every alias that lies inside a mention.

        Raises:
            InputError: The index contradicts itself: its files are damaged.
        """
        return self.find(tokenize(texts, self.index.tables), nested=nested)

    def find(self, tokens: Tokens, *, nested: bool = False) -> Matches:
        """The mentions of a batch that is cut already."""
        rows = self.rows(tokens, NESTED if nested else PLAIN)
        if nested:  # by first token, the longer first
            rows = rows[np.lexsort((-rows[:, 2], rows[:, 1]))]
        return Matches(tokens, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] != 0)

    def rows(self, tokens: Tokens, wanted: int) -> Ints:
        """What `openmofi.entities.kernels_match.search` finds, ``[mentions, 5]``."""
        found, count = search(
            tokens.arrays, self._searched, self._plurals, self.index.max_tokens, wanted
        )
        if count == DAMAGED:
            raise damaged()
        return found[:count]

    def match_column(
        self, column: pa.Array | pa.ChunkedArray, *, threads: int = 1, nested: bool = False
    ) -> Spans:
        """The mentions of a whole column; the same for any number of threads.

        The texts are read where they lie, batch by batch.
        """
        batches = _batches(column)
        find = functools.partial(self._spans, nested=nested)
        if threads == 1:
            return _joined([find(*batch) for batch in batches])
        with ThreadPoolExecutor(threads) as pool:
            return _joined(list(pool.map(lambda batch: find(*batch), batches)))

    def candidates(self, alias: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Entity rows that an alias may name and P(entity | surface), the likeliest first."""
        begins, ends = self.postings(np.array([alias]))
        chosen = slice(int(begins[0]), int(ends[0]))
        return self.index.posting_entities[chosen], self.index.posting_priors[chosen]

    def postings(self, aliases: Ints) -> tuple[Ints, Ints]:
        """Where the candidates of some aliases begin and end in the index.

        Raises:
            InputError: The index contradicts itself: its files are damaged.
        """
        begins = self.index.posting_starts[aliases].astype(np.int64)
        ends = self.index.posting_starts[aliases + 1].astype(np.int64)
        size = len(self.index.posting_entities)
        if not bool(((begins >= 0) & (begins <= ends) & (ends <= size)).all()):
            raise damaged()
        return begins, ends

    def look_up(self, key: str) -> int | None:
        """Row of the alias with exactly this surface key."""
        tokens = tokenize([key], self.index.tables)
        alias = look_up(tokens.arrays, self._searched, self._plurals)
        if alias == DAMAGED:
            raise damaged()
        return None if alias < 0 else int(alias)

    def _spans(self, first_text: int, texts: pa.Array, nested: bool) -> Spans:
        found = self.match(texts, nested=nested)
        return Spans(
            found.texts + first_text, found.starts, found.ends, found.aliases, found.nested
        )


def _batches(column: pa.Array | pa.ChunkedArray) -> list[tuple[int, pa.Array]]:
    """Slices of the column, each with the row at which it begins."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    batches, before = [], 0
    for chunk in chunks:
        size = max(1, min(_BATCH_TEXTS, len(chunk) * _BATCH_BYTES // max(1, chunk.nbytes)))
        for begin in range(0, len(chunk), size):
            batches.append((before + begin, chunk.slice(begin, size)))
        before += len(chunk)
    return batches


def _joined(parts: Sequence[Spans]) -> Spans:
    nothing = np.zeros(0, np.int64)
    empty = Spans(nothing, nothing, nothing, nothing, np.zeros(0, np.bool_))
    columns = zip(*(vars(part).values() for part in [empty, *parts]), strict=True)
    return Spans(*map(np.concatenate, columns))


def _plurals(index: MatcherIndex) -> Plurals:
    rules = ENDINGS if index.inflection == "english" else ()
    words = [word for word in index.plurals if word]
    hashes = _hashes(words)
    order = np.argsort(hashes, kind="stable")
    irregular = [words[i] for i in order.tolist()]
    return Plurals(
        endings=_strings([rule.plural for rule in rules]),
        cuts=np.array([len(rule.plural) for rule in rules], np.int64),
        shortest=np.array([rule.shortest for rule in rules], np.int64),
        barred=_strings(NOT_PLURAL if rules else ()),
        irregular_hashes=hashes[order],
        irregular=_strings(irregular),
        singulars=_strings(
            [*(index.plurals[word] for word in irregular), *(rule.singular for rule in rules)]
        ),
    )


def _hashes(words: Sequence[str]) -> Hashes:
    codes, starts = _characters(words)
    return hash_stretches(codes, starts[:-1], starts[1:])


def _strings(words: Sequence[str]) -> Strings:
    return Strings(*_characters(words))


def _characters(words: Sequence[str]) -> tuple[Codes, Ints]:
    """Code points of some strings, one after the other, and where each begins."""
    codes = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(word) for word in words], np.int64)
    return codes, np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
