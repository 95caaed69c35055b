"""Which of its candidates a mention means: prior × agreement with the rest of the text, iterated.

posterior(c) ∝ prior(c)^a · exp(b · agreement(c)), where agreement is the cosine of c's vector and
the text's: its other words, plus the expected vectors of its other mentions under the posteriors of
the round before (method.md A2). A whole batch of texts is scored at once, as sums over
(text, term) and (mention, term) cells.
"""

from dataclasses import dataclass

import numpy as np

from openmofi.entities.kernels_hash import Bools, Ints
from openmofi.entities.terms import term_hashes
from openmofi.entities.text import Tokens
from openmofi.entities.vectors import EntityVectors, Floats

_MIN_PRIOR = 1e-6  # a candidate of weight 0 can still win by the text
_NOTHING = 1e-9  # squared length below which a text has nothing else to say


@dataclass(frozen=True)
class Scoring:
    """How prior and text are weighed; the fields of `LinkConfig`."""

    prior_weight: float
    context_weight: float
    mention_weight: float
    rounds: int


@dataclass(frozen=True)
class Candidates:
    """Candidates of a batch's groups. A group is one alias in one document.

    The same word twice in a text is one group: it must not bear witness for itself.
    """

    groups: Ints  # [candidates] increasing
    entities: Ints  # [candidates]
    priors: Floats  # [candidates]
    documents: Ints  # [groups]


@dataclass(frozen=True)
class Words:
    """The documents' words as terms, one entry a word."""

    documents: Ints
    groups: Ints  # the group that the word belongs to, -1: none
    terms: Ints
    weights: Floats

    def within(self, documents: Bools) -> "Words":
        """The words of some documents."""
        padded = np.zeros(max(len(documents), int(self.documents.max(initial=-1)) + 1), np.bool_)
        padded[: len(documents)] = documents
        keep = padded[self.documents]
        return Words(self.documents[keep], self.groups[keep], self.terms[keep], self.weights[keep])


def document_words(
    tokens: Tokens, documents: Ints, token_groups: Ints, vectors: EntityVectors
) -> Words:
    """The words of a batch that some entity has, each with its idf as weight.

    Args:
        tokens: The batch.
        documents: ``[texts]`` which document each text belongs to.
        token_groups: ``[tokens]`` group of the mention that holds the token, -1: none.
        vectors: Of the knowledge base.
    """
    hashes, counted = term_hashes(tokens, vectors.stops)
    terms = vectors.find_terms(hashes)
    kept = np.flatnonzero(counted & (terms >= 0))
    return Words(
        documents=documents[tokens.texts[kept]],
        groups=token_groups[kept],
        terms=terms[kept],
        weights=vectors.idf[terms[kept]].astype(float),
    )


def posteriors(
    candidates: Candidates, words: Words, vectors: EntityVectors, scoring: Scoring
) -> Floats:
    """``[candidates]`` posterior of each, 1 in sum over its group."""
    base = scoring.prior_weight * np.log(np.maximum(candidates.priors, _MIN_PRIOR))
    groups = len(candidates.documents)
    result = _softmax(base, candidates.groups, groups)
    open_documents = _ambiguous_documents(candidates)
    chosen = np.flatnonzero(open_documents[candidates.documents[candidates.groups]])
    if not len(chosen) or scoring.context_weight == 0:
        return result
    part = Candidates(
        candidates.groups[chosen],
        candidates.entities[chosen],
        candidates.priors[chosen],
        candidates.documents,
    )
    context = _Context(part, words.within(open_documents), vectors, scoring.mention_weight)
    for _ in range(scoring.rounds):
        agreement = context.agreement(result[chosen])
        logits = base[chosen] + scoring.context_weight * agreement
        result[chosen] = _softmax(logits, part.groups, groups)
    return result


class _Context:
    """Sums over (document, term) and (group, term) cells, laid out once for all rounds."""

    def __init__(
        self, candidates: Candidates, words: Words, vectors: EntityVectors, mention_weight: float
    ) -> None:
        self._candidates = candidates
        self._mention_weight = mention_weight
        self._owner, terms, self._values = vectors.rows(candidates.entities)  # one per entry
        groups = candidates.groups[self._owner]
        width = max(1, len(vectors.terms))
        entries = candidates.documents[groups] * width + terms
        word_cells = words.documents * width + words.terms
        self._document = _Cells(entries, word_cells, words.weights)
        named = words.groups >= 0
        own_entries = groups * width + terms
        own_words = words.groups[named] * width + words.terms[named]
        self._own = _Cells(own_entries, own_words, words.weights[named])
        self._document_of = self._document.cells // width
        self._group_of = self._own.cells // width
        # The document's cell for every cell of a group: what the group put in lies there.
        above = candidates.documents[self._group_of] * width + self._own.cells % width
        self._above = np.searchsorted(self._document.cells, above)

    def agreement(self, posterior: Floats) -> Floats:
        """``[candidates]`` cosine with the document less what the candidate's own group put in."""
        expected = self._mention_weight * posterior[self._owner] * self._values
        whole, own = self._document.sums(expected), self._own.sums(expected)
        rest = whole[self._document.entries] - own[self._own.entries]
        dots = np.bincount(self._owner, self._values * rest, len(posterior))
        groups, documents = self._candidates.groups, self._candidates.documents
        squares = np.bincount(self._document_of, whole**2, int(documents.max()) + 1)
        overlap = np.bincount(self._group_of, own * (own - 2 * whole[self._above]), len(documents))
        rest_squares = squares[documents] + overlap  # |whole - own|^2, [groups]
        length = np.sqrt(np.where(rest_squares > _NOTHING, rest_squares, np.inf))
        result: Floats = dots / length[groups]
        return result


class _Cells:
    """Distinct cells, the cell of every entry, and the sums that no posterior changes."""

    def __init__(self, entries: Ints, fixed: Ints, weights: Floats) -> None:
        self.cells, places = np.unique(np.concatenate((entries, fixed)), return_inverse=True)
        self.entries = places[: len(entries)]
        self._fixed = _sums(places[len(entries) :], weights, len(self.cells))

    def sums(self, expected: Floats) -> Floats:
        """Fixed weights plus the entries' expected ones, by cell."""
        total = _sums(self.entries, expected, len(self.cells))
        total += self._fixed
        return total


def _sums(places: Ints, weights: Floats, count: int) -> Floats:
    return np.bincount(places, weights, count).astype(np.float64, copy=False)


def _ambiguous_documents(candidates: Candidates) -> Bools:
    """``[documents]`` whether a group of it has more than one candidate."""
    several = np.bincount(candidates.groups, minlength=len(candidates.documents)) > 1
    found = np.zeros(int(candidates.documents.max(initial=-1)) + 1, np.bool_)
    found[candidates.documents[several]] = True
    return found


def _softmax(logits: Floats, groups: Ints, count: int) -> Floats:
    """Normalised exponentials within each group."""
    peak = np.full(count, -np.inf)
    np.maximum.at(peak, groups, logits)
    weights = np.exp(logits - peak[groups])
    result: Floats = weights / np.bincount(groups, weights, count)[groups]
    return result
