"""Texts in, linked mentions out: matcher, rules, candidates and context put together."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from openmofi.entities.config import LinkConfig
from openmofi.entities.dense_agreement import DenseAgreement, load_dense_agreement
from openmofi.entities.index_checks import damaged
from openmofi.entities.kernels_candidates import (
    IS_NAME,
    ONLY_CANDIDATE,
    REASONS,
    Candidates,
    Floats,
    Halves,
    Numbers,
    Postings,
    Weights,
    gather_candidates,
)
from openmofi.entities.kernels_groups import Groups, find_groups
from openmofi.entities.kernels_hash import Ints, fixed
from openmofi.entities.kernels_keep import keep_best
from openmofi.entities.kernels_rules import NOT_SHOWN, RULES, Traits
from openmofi.entities.kernels_settle import Context, find_terms, settle
from openmofi.entities.kinds import KINDS
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.mentions import mentions_of
from openmofi.entities.text import Tokens, string_buffers, text_array, tokenize
from openmofi.entities.vectors import damaged_vectors
from openmofi.entities.words import token_traits

_BATCH_TEXTS = 5_000
_BATCH_BYTES = 1_000_000
_MIN_PRIOR = 1e-6  # a candidate of weight 0 can still win by the text


@dataclass(frozen=True)
class Links:
    """Kept candidates of all mentions, by text, place and rank."""

    mentions: Numbers  # [links] number of the mention, from 0 over all texts
    texts: Numbers  # [links]
    starts: Numbers  # [links] code points of the text
    ends: Numbers  # [links]
    entities: Numbers  # [links] entity rows
    priors: Halves  # [links] P(entity | surface)
    agreements: Halves  # [links] cosine with the rest of the document, 0 where nothing was open
    scores: Halves  # [links] posterior, at most 1 in sum over a mention
    ranks: Numbers  # [links] 0 is the best
    reasons: Numbers  # [links] bits of `openmofi.entities.kernels_candidates.REASONS`
    dropped: Ints  # [RULES] mentions that each rule dropped

    @property
    def found(self) -> int:
        """Mentions."""
        return int(np.count_nonzero(self.ranks == 0))

    @property
    def ambiguous(self) -> int:
        """Mentions with more than one candidate."""
        single = (self.reasons & ONLY_CANDIDATE) != 0
        return int(np.count_nonzero((self.ranks == 0) & ~single))

    @property
    def reason_names(self) -> pa.Array:
        """The reasons of each link, with commas between."""
        return pa.array(_reason_names()).take(pa.array(self.reasons))

    def dropped_by_rule(self) -> dict[str, int]:
        """Mentions that each rule dropped."""
        return dict(zip(RULES[1:], self.dropped[1:].tolist(), strict=True))


# Rows of what `keep_best` gives.
_MENTION, _TEXT, _RANK = 0, 1, 5
_NONE_DROPPED = np.zeros(len(RULES), np.int64)


class _Part(NamedTuple):
    """The links of one batch."""

    numbers: Numbers
    floats: Halves
    dropped: Ints


class EntityLinker:
    """Links texts to the entities of a knowledge base."""

    def __init__(self, base: KnowledgeBase, settings: LinkConfig) -> None:
        self._tables = base.matcher.index.tables
        self.mentions = mentions_of(base.matcher, settings)
        self.agreement: DenseAgreement | None = None
        if settings.encoder:
            weight = settings.encoder_weight
            self.agreement = load_dense_agreement(base, settings.encoder, weight)
        self._vectors = base.vectors.searched
        index = base.matcher.index
        self._postings = Postings(
            starts=fixed(index.posting_starts),
            entities=fixed(index.posting_entities),
            priors=fixed(index.posting_priors),
            flags=fixed(index.posting_flags),
            logits=fixed(_posting_logits(base, settings)),
        )
        self._kinds = fixed(base.kinds)
        self._weights = Weights(
            prior=settings.prior_weight,
            name=settings.name_weight,
            case=settings.case_weight,
            singular=settings.singular_share,
            head=settings.head_share,
        )
        self._context = Context(settings.context_weight, settings.mention_weight, settings.rounds)
        self._shown = np.array([kind not in settings.not_shown for kind in KINDS])
        self._most = settings.max_candidates

    def link(
        self, texts: Sequence[str] | pa.Array, documents: Sequence[int] | Ints | None = None
    ) -> Links:
        """Find mentions and rank their candidates.

        Args:
            texts: The texts.
            documents: Which texts belong together, such as the alt text and the title of one
                image, and so speak for each other; numbers that do not decrease. By default each
                text stands alone.
        """
        column = texts if isinstance(texts, pa.Array) else text_array(texts)
        owners = np.arange(len(column)) if documents is None else np.asarray(documents, np.int64)
        parts = [
            self._link_batch(column.slice(begin, end - begin), owners[begin:end], begin)
            for begin, end in _batches(column, owners)
        ]
        return _joined(parts)

    def _link_batch(self, texts: pa.Array, owners: Ints, offset: int) -> _Part:
        tokens = tokenize(texts, self._tables)
        rows = self.mentions.rows(tokens, texts)
        traits = token_traits(texts, tokens)
        documents = np.cumsum(np.diff(owners, prepend=owners[:1]) != 0)
        groups = find_groups(
            rows, tokens.arrays, traits, documents, self._postings.starts, self._postings.flags
        )
        candidates = gather_candidates(groups.aliases, self._postings, self._weights)
        if self.agreement:
            self.agreement.add(texts, documents, groups, candidates)
        agreement, scores = self._settle(tokens, traits, documents, groups, candidates)
        numbers, floats, hidden = keep_best(
            groups, candidates, agreement, scores, tokens.first, tokens.last,
            self._kinds, self._shown, self._most,
        )  # fmt: skip
        groups.dropped[NOT_SHOWN] = hidden
        numbers[_TEXT] += offset
        return _Part(numbers, floats, groups.dropped)

    def _settle(
        self,
        tokens: Tokens,
        traits: Traits,
        documents: Ints,
        groups: Groups,
        candidates: Candidates,
    ) -> tuple[Floats, Floats]:
        several = np.diff(candidates.starts) > 1
        needed = np.zeros(int(documents.max(initial=-1)) + 1, np.bool_)
        needed[groups.documents[several]] = True
        terms = find_terms(tokens.arrays, traits, needed[documents], self._vectors)
        agreement, scores, fits = settle(
            groups.mentions, groups.documents, candidates.starts, candidates.entities,
            candidates.logits, documents[tokens.texts], terms, self._vectors, self._context,
        )  # fmt: skip
        if not fits:
            raise damaged_vectors()
        return agreement, scores


def _posting_logits(base: KnowledgeBase, settings: LinkConfig) -> Halves:
    """What speaks for each candidate of each alias in any text.

    Raises:
        InputError: The index contradicts itself: its files are damaged.
    """
    index = base.matcher.index
    starts, entities = index.posting_starts, index.posting_entities
    rises = int(starts[0]) == 0 and bool((starts[1:] >= starts[:-1]).all())
    if not rises or (len(entities) and not 0 <= entities.min() <= entities.max() < len(base)):
        raise damaged()
    popularity = base.entities.column("popularity").combine_chunks().to_numpy(zero_copy_only=False)
    by_kind = np.array([settings.kind_weights.get(kind, 0.0) for kind in KINDS])
    of_entity = by_kind[base.kinds]
    of_entity += settings.popularity_weight * np.log1p(np.maximum(popularity, 0))
    # In 64 bits, rounded at the end: equal priors must give equal logits in every lane of numpy's.
    priors = np.maximum(index.posting_priors.astype(np.float64), _MIN_PRIOR)
    logits = settings.prior_weight * np.log(priors)
    logits += of_entity[entities] + settings.name_weight * ((index.posting_flags & IS_NAME) != 0)
    return np.asarray(logits, np.float32)


@functools.lru_cache(maxsize=1)
def _reason_names() -> list[str]:
    """Names of each combination of reasons."""
    combinations = range(1 << len(REASONS))
    return [
        ",".join(name for bit, name in enumerate(REASONS) if bits >> bit & 1)
        for bits in combinations
    ]


def _batches(texts: pa.Array, owners: Ints) -> Iterator[tuple[int, int]]:
    """Bounds of batches that no document straddles."""
    _, offsets = string_buffers(texts)
    borders = np.flatnonzero(np.diff(owners, prepend=-1))
    begin = 0
    while begin < len(texts):
        fill = int(np.searchsorted(offsets, offsets[begin] + _BATCH_BYTES))
        full = min(begin + _BATCH_TEXTS, fill)
        place = np.searchsorted(borders, max(full, begin + 1))
        end = int(borders[place]) if place < len(borders) else len(texts)
        yield begin, end
        begin = end


def _joined(parts: Sequence[_Part]) -> Links:
    before = 0
    parts = parts or [
        _Part(np.zeros((7, 0), np.int32), np.zeros((3, 0), np.float32), _NONE_DROPPED)
    ]
    for part in parts:
        part.numbers[_MENTION] += before
        before += int(np.count_nonzero(part.numbers[_RANK] == 0))
    numbers = np.concatenate([part.numbers for part in parts], axis=1)
    priors, agreements, scores = np.concatenate([part.floats for part in parts], axis=1)
    mentions, texts, starts, ends, entities, ranks, reasons = numbers
    return Links(
        mentions, texts, starts, ends, entities, priors, agreements, scores, ranks, reasons,
        dropped=sum((part.dropped for part in parts), _NONE_DROPPED),
    )  # fmt: skip
