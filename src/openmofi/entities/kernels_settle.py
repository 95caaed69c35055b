"""Compiled: posteriors of candidates, by their agreement with the rest of the document.

One document at a time, over a dense array of term weights that is cleared by the terms that were
touched: a caption touches a few dozen of perhaps a million.
"""

from typing import NamedTuple

import numpy as np

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_candidates import (
    Floats,
    Halves,
    Numbers,
)  # fmt: skip
from openmofi.entities.kernels_hash import SEED, Bools, Hashes, Int, Ints, extend, finish
from openmofi.entities.kernels_rules import CHATTER, FUNCTION, Traits
from openmofi.entities.kernels_text import TokenArrays
from openmofi.entities.kernels_words import DAMAGED, NONE

_STOPS = FUNCTION | CHATTER
_STEPS = 1e6  # of a cosine; what taking away leaves of a sum must not decide between equals
_NOTHING = 1e-9  # squared length below which a text has nothing else to say
_SPOKEN = 8  # the greatest terms of an entity speak for other mentions
# A mention as sure as this is not looked at again: from the start, and after a round.
_CLEAR, _SETTLED = 0.99, 0.9
_MOVED = 0.1  # no posterior moved further in a round: another would change little
_LIKELY = 0.2  # less likely candidates do not speak for other mentions
_SMALL_S, _SMALL_U, _SMALL_I = 0x73, 0x75, 0x69


class Vectors(NamedTuple):
    """See `openmofi.entities.vectors.EntityVectors`."""

    terms: Hashes
    buckets: Ints  # where the terms of each value of a hash's first bits begin
    shift: np.uint64
    idf: Halves
    starts: Ints
    columns: Numbers
    values: Halves


class Context(NamedTuple):
    """How the rest of the document is weighed; see `openmofi.entities.config.LinkConfig`."""

    weight: float
    mention_weight: float
    rounds: int


@compiled
def find_terms(tokens: TokenArrays, traits: Traits, needed: Bools, vectors: Vectors) -> Numbers:
    """The term that each token of the needed texts is, or `NONE`: without a plural's ``s``.

    As `openmofi.entities.terms.term_hashes` has it: stop words and what cannot begin a mention
    (the ``t`` of ``don't``) are none.
    """
    codes, starts, ends, texts = tokens.codes, tokens.starts, tokens.ends, tokens.texts
    may_start, terms, buckets, shift = (
        tokens.may_start,
        vectors.terms,
        vectors.buckets,
        vectors.shift,
    )
    found = np.full(len(starts), NONE, np.int32)
    for i in range(len(starts)):
        if not (needed[texts[i]] and may_start[i]) or traits[i] & _STOPS:
            continue
        start, end = starts[i], ends[i]
        cut = end
        if end - start > 3 and codes[end - 1] == _SMALL_S:
            before = codes[end - 2]
            cut -= not (before == _SMALL_S or before == _SMALL_U or before == _SMALL_I)
        stem = finish(extend(SEED, codes, start, cut))
        first = np.int64(stem >> shift)
        low, high = buckets[first], buckets[first + 1]
        while low < high:
            middle = (low + high) >> 1
            if terms[middle] < stem:
                low = middle + 1
            else:
                high = middle
        if low < len(terms) and terms[low] == stem:
            found[i] = low
    return found


@compiled
def settle(
    mentions: Ints, owners: Ints, starts: Ints, entities: Numbers, logits: Floats,
    token_documents: Ints, terms: Numbers, vectors: Vectors, context: Context,
) -> tuple[Floats, Floats, Int]:  # fmt: skip
    """Agreement with the rest of its document and posterior of each candidate; whether all fits.

    posterior(c) ∝ exp(logit(c) + weight · agreement(c)); agreement is the cosine of c's vector and
    the document's: its other words, plus the expected vectors of its other mentions under the
    posteriors of the round before (method.md A2). It does not fit if the vectors are damaged: they
    are too many to be looked at beforehand.

    Args:
        mentions: Of `openmofi.entities.kernels_candidates.Groups`.
        owners: ``[groups]`` their documents, increasing.
        starts: ``[groups + 1]`` where each group's candidates begin.
        entities: ``[candidates]``
        logits: ``[candidates]``
        token_documents: ``[tokens]`` increasing.
        terms: ``[tokens]``
        vectors: Of the knowledge base.
        context: What counts how much.
    """
    agreement, scores = np.zeros(len(entities)), np.zeros(len(entities))
    of_group, places = _mentions_of_groups(mentions, len(owners))
    idf, rows, columns, values = vectors.idf, vectors.starts, vectors.columns, vectors.values
    sums, touched = np.zeros(len(idf), np.float32), np.empty(1024, np.int64)
    begin, token = 0, 0
    while begin < len(owners):
        document, end = owners[begin], begin
        while end < len(owners) and owners[end] == document:
            end += 1
        while token < len(terms) and token_documents[token] < document:
            token += 1
        first = token
        while token < len(terms) and token_documents[token] == document:
            token += 1
        for group in range(begin, end):
            _normalise(logits, agreement, 0.0, starts[group], starts[group + 1], scores)
        if context.weight > 0.0 and _any_open(begin, end, starts, scores, _CLEAR):
            room = _count_terms(entities, starts[begin], starts[end], rows, columns, len(idf))
            if room < 0:
                return agreement, scores, False
            if room + token - first > len(touched):
                touched = np.empty(2 * (room + token - first), np.int64)
            _settle_document(
                begin, end, first, token, mentions, of_group, places, starts, entities, logits,
                terms, idf, rows, columns, values, context, sums, touched, agreement, scores,
            )  # fmt: skip
        begin = end
    return agreement, scores, True


@compiled
def _count_terms(
    entities: Numbers, begin: Int, end: Int, rows: Ints, columns: Numbers, size: Int
) -> Int:
    """Terms of some candidates' vectors in all, or `DAMAGED`."""
    count, greatest = 0, np.uint32(0)
    for i in range(begin, end):
        first, stop = rows[entities[i]], rows[entities[i] + 1]
        if not 0 <= first <= stop <= len(columns):
            return DAMAGED
        for j in range(first, stop):
            greatest = max(greatest, np.uint32(columns[j]))
        count += stop - first
    return DAMAGED if count and greatest >= size else count


@compiled
def _settle_document(
    begin: Int, end: Int, first: Int, stop: Int, mentions: Ints, of_group: Ints, places: Ints,
    starts: Ints, entities: Numbers, logits: Floats, terms: Numbers, idf: Halves, rows: Ints,
    columns: Numbers, values: Halves, context: Context,
    sums: Halves, touched: Ints, agreement: Floats, scores: Floats,
) -> None:  # fmt: skip
    """Settle the groups ``begin`` to ``end`` of the document of tokens ``first`` to ``stop``."""
    speaks = context.mention_weight if end > begin + 1 else 0.0
    for turn in range(context.rounds if speaks > 0.0 else 1):
        count, square = 0, 0.0
        sure = _SETTLED if turn else _CLEAR
        if not _any_open(begin, end, starts, scores, sure):
            break
        for token in range(first, stop):
            if terms[token] != NONE:
                square += _add(sums, terms[token], np.float64(idf[terms[token]]))
                touched[count] = terms[token]
                count += 1
        if speaks > 0.0:
            for i in range(starts[begin], starts[end]):
                if scores[i] > _LIKELY:
                    a = rows[entities[i]]
                    for j in range(a, min(a + _SPOKEN, rows[entities[i] + 1])):
                        square += _add(sums, np.uint32(columns[j]), speaks * scores[i] * values[j])
                        touched[count] = columns[j]
                        count += 1
        for group in range(begin, end):
            a, b = starts[group], starts[group + 1]
            if b - a > 1 and not _is_settled(a, b, scores, sure):
                rest = square
                # What the group itself put in must not speak for it.
                for sign in (-1.0, 1.0):
                    for k in range(of_group[group], of_group[group + 1]):
                        mention = places[k]
                        for token in range(mentions[mention, 1], mentions[mention, 2] + 1):
                            if terms[token] != NONE:
                                rest += _add(sums, terms[token], sign * idf[terms[token]])
                    if speaks > 0.0:
                        for i in range(a, b):
                            if scores[i] > _LIKELY:
                                c = rows[entities[i]]
                                for j in range(c, min(c + _SPOKEN, rows[entities[i] + 1])):
                                    part = sign * speaks * scores[i] * values[j]
                                    rest += _add(sums, np.uint32(columns[j]), part)
                    if sign < 0.0:
                        for i in range(a, b):
                            agreement[i] = 0.0
                            if rest > _NOTHING:
                                c, d = rows[entities[i]], rows[entities[i] + 1]
                                dot = _dot(sums, columns, values, c, d)
                                cosine = max(dot, 0.0) / np.sqrt(rest)
                                agreement[i] = np.floor(cosine * _STEPS + 0.5) / _STEPS
        moved = 0.0
        for group in range(begin, end):
            a, b = starts[group], starts[group + 1]
            if not _is_settled(a, b, scores, sure):
                by = _normalise(logits, agreement, context.weight, a, b, scores)
                moved = max(moved, by)
        for i in range(count):
            sums[touched[i]] = 0.0
        if moved < _MOVED:
            break


@inlined
def _is_settled(a: Int, b: Int, scores: Floats, sure: float) -> Int:
    """Whether one candidate has nearly all of its group."""
    peak = 0.0
    for i in range(a, b):
        peak = max(peak, scores[i])
    return peak >= sure


@inlined
def _any_open(begin: Int, end: Int, starts: Ints, scores: Floats, sure: float) -> Int:
    found = False
    for group in range(begin, end):
        found = found or not _is_settled(starts[group], starts[group + 1], scores, sure)
    return found


@inlined
def _dot(sums: Halves, columns: Numbers, values: Halves, begin: Int, end: Int) -> Int:
    """Of the document's and one entity's vector, by four sums: one would wait for each addition."""
    one = two = three = four = 0.0
    whole = begin + (end - begin) // 4 * 4
    for j in range(begin, whole, 4):
        one += sums[np.uint32(columns[j])] * values[j]
        two += sums[np.uint32(columns[j + 1])] * values[j + 1]
        three += sums[np.uint32(columns[j + 2])] * values[j + 2]
        four += sums[np.uint32(columns[j + 3])] * values[j + 3]
    for j in range(whole, end):
        one += sums[np.uint32(columns[j])] * values[j]
    return (one + two) + (three + four)


@inlined
def _add(sums: Halves, term: Int, part: Int) -> Int:
    """Add to one term; return by how much that makes the squared length longer."""
    before = sums[term]
    sums[term] = before + part
    return (2.0 * before + part) * part


@compiled
def _normalise(
    logits: Floats, agreement: Floats, weight: float, a: Int, b: Int, scores: Floats
) -> Int:
    """Posteriors of one group; by how much the one that moved most did."""
    if b == a + 1:
        scores[a] = 1.0
        return 0.0
    peak, total, moved = -np.inf, 0.0, 0.0
    for i in range(a, b):
        peak = max(peak, logits[i] + weight * agreement[i])
    for i in range(a, b):
        total += np.exp(logits[i] + weight * agreement[i] - peak)
    for i in range(a, b):
        score = np.exp(logits[i] + weight * agreement[i] - peak) / total
        moved = max(moved, abs(score - scores[i]))
        scores[i] = score
    return moved


@compiled
def _mentions_of_groups(mentions: Ints, groups: Int) -> tuple[Ints, Ints]:
    """Where each group's mentions begin in the second array, and the mentions by group."""
    begins = np.zeros(groups + 1, np.int64)
    for i in range(len(mentions)):
        begins[mentions[i, 0] + 1] += 1
    for group in range(groups):
        begins[group + 1] += begins[group]
    places, filled = np.empty(len(mentions), np.int64), begins[:-1].copy()
    for i in range(len(mentions)):
        group = mentions[i, 0]
        places[filled[group]] = i
        filled[group] += 1
    return begins, places
