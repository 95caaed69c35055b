"""Texts in, linked mentions out: the matcher and the disambiguation put together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openmofi.entities.disambiguate import (
    Candidates,
    Scoring,
    document_words,
    posteriors,
)
from openmofi.entities.kernels_hash import Ints
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.matcher import Matches
from openmofi.entities.vectors import Floats

_BATCH_TEXTS = 2_500
_BATCH_CHARACTERS = 500_000
_MAX_SCORED = 64  # candidates of one mention that are looked at, the likeliest


@dataclass(frozen=True)
class Links:
    """Kept candidates of all mentions, by text, place and rank."""

    mentions: Ints  # [links] number of the mention, from 0 over all texts
    texts: Ints  # [links]
    starts: Ints  # [links] code points of the text
    ends: Ints  # [links]
    entities: Ints  # [links] entity rows
    priors: Floats  # [links] P(entity | surface)
    scores: Floats  # [links] posterior, at most 1 in sum over a mention
    ranks: Ints  # [links] 0 is the best
    found: int  # mentions
    ambiguous: int  # mentions with more than one candidate


class EntityLinker:
    """Links texts to the entities of a knowledge base."""

    def __init__(self, base: KnowledgeBase, scoring: Scoring, *, max_candidates: int) -> None:
        self._matcher = base.matcher
        self._vectors = base.vectors
        self._scoring = scoring
        self._max_candidates = max_candidates

    def link(self, texts: Sequence[str], documents: Sequence[int] | None = None) -> Links:
        """Find mentions and rank their candidates.

        Args:
            texts: The texts.
            documents: Which texts belong together, such as the alt text and the title of one
                image, and so speak for each other; numbers that do not decrease. By default each
                text stands alone.
        """
        owners = np.arange(len(texts)) if documents is None else np.asarray(documents, np.int64)
        parts = [
            self._link_batch(texts[begin:end], owners[begin:end], begin)
            for begin, end in _batches(texts, owners)
        ]
        return _joined(parts)

    def _link_batch(self, texts: Sequence[str], owners: Ints, offset: int) -> Links:
        matches = self._matcher.match(texts)
        documents = np.unique(owners, return_inverse=True)[1].astype(np.int64)
        group_of, candidates = self._candidates(matches, documents[matches.texts])
        token_groups = _token_groups(matches, group_of)
        words = document_words(matches.tokens, documents, token_groups, self._vectors)
        scores = posteriors(candidates, words, self._vectors, self._scoring)
        return self._kept(matches, group_of, candidates, scores, offset)

    def _candidates(self, matches: Matches, documents: Ints) -> tuple[Ints, Candidates]:
        """The group of each mention, and all groups' candidates."""
        index = self._matcher.index
        rows = len(index)
        cells, group_of = np.unique(documents * rows + matches.aliases, return_inverse=True)
        aliases = cells % rows
        begins, ends = self._matcher.postings(aliases)
        lengths = np.minimum(ends - begins, _MAX_SCORED)
        groups = np.repeat(np.arange(len(cells)), lengths)
        shift = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
        entries = np.arange(len(groups)) + shift
        candidates = Candidates(
            groups=groups,
            entities=index.posting_entities[entries].astype(np.int64),
            priors=index.posting_priors[entries].astype(float),
            documents=cells // rows,
        )
        return group_of, candidates

    def _kept(
        self,
        matches: Matches,
        group_of: Ints,
        candidates: Candidates,
        scores: Floats,
        offset: int,
    ) -> Links:
        """The best candidates of each group, given to all its mentions."""
        order = np.lexsort((candidates.entities, -candidates.priors, -scores, candidates.groups))
        sizes = np.bincount(candidates.groups, minlength=len(candidates.documents))
        firsts = np.cumsum(sizes) - sizes
        kept = np.minimum(sizes[group_of], self._max_candidates)  # [mentions]
        mentions = np.repeat(np.arange(len(group_of)), kept)
        ranks = np.arange(len(mentions)) - np.repeat(np.cumsum(kept) - kept, kept)
        chosen = order[firsts[group_of[mentions]] + ranks]
        return Links(
            mentions=mentions,
            texts=matches.texts[mentions] + offset,
            starts=matches.starts[mentions],
            ends=matches.ends[mentions],
            entities=candidates.entities[chosen],
            priors=candidates.priors[chosen],
            scores=scores[chosen],
            ranks=ranks,
            found=len(group_of),
            ambiguous=int(np.count_nonzero(sizes[group_of] > 1)),
        )


def _batches(texts: Sequence[str], owners: Ints) -> Iterator[tuple[int, int]]:
    """Bounds of batches that no document straddles."""
    begin, characters = 0, 0
    for end in range(len(texts)):
        full = end - begin >= _BATCH_TEXTS or characters >= _BATCH_CHARACTERS
        if full and owners[end] != owners[end - 1]:
            yield begin, end
            begin, characters = end, 0
        characters += len(texts[end])
    yield begin, len(texts)


def _token_groups(matches: Matches, group_of: Ints) -> Ints:
    """Group of the mention that holds each token, -1 outside mentions."""
    lengths = matches.last - matches.first + 1
    inside = np.repeat(matches.first - (np.cumsum(lengths) - lengths), lengths)
    inside += np.arange(len(inside))
    groups = np.full(len(matches.tokens.starts), -1, np.int64)
    groups[inside] = np.repeat(group_of, lengths)
    return groups


def _joined(parts: Sequence[Links]) -> Links:
    before = np.cumsum([0, *(part.found for part in parts)])
    columns: dict[str, npt.NDArray[np.int64]] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("texts", "starts", "ends", "entities", "priors", "scores", "ranks")
    }
    shifted = [part.mentions + shift for part, shift in zip(parts, before, strict=False)]
    return Links(
        mentions=np.concatenate(shifted),
        **columns,  # type: ignore[arg-type]
        found=int(before[-1]),
        ambiguous=sum(part.ambiguous for part in parts),
    )
