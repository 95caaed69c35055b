"""Compiled: from what the matcher found to candidates with what speaks for each before the context.

A group is one alias in one document: the same word twice must not bear witness for itself.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_hash import Bytes, Int, Ints
from openmofi.entities.kernels_rules import (
    LOWER,
    UPPER,
)
from openmofi.entities.kernels_words import NONE

Numbers = npt.NDArray[np.int32]
Halves = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

# Of a posting; see `openmofi.entities.index`.
WRITTEN_SMALL, IS_NAME, IS_VARIANT, NAMES_OWN = 1, 2, 4, 8

# What a candidate's reasons are, besides its numbers; `REASONS` names them, bit by bit.
PLURAL, VARIANT, NAME, HEAD, CASE_FITS, CASE_DIFFERS, ONLY_CANDIDATE = 1, 2, 4, 8, 16, 32, 64
REASONS = ("plural", "variant", "name", "head", "case_fits", "case_differs", "only_candidate")

ALL_CAPITALS = 4  # of a group's evidence: a stop word that is shouted is read as a name
MAX_SCORED = 64  # candidates of one alias that are looked at, the likeliest


class Postings(NamedTuple):
    """Candidates of all aliases; see `openmofi.entities.index.MatcherIndex`."""

    starts: npt.NDArray[Any]
    entities: Numbers
    priors: Halves
    flags: Bytes
    logits: Halves  # what speaks for each in any text: prior, popularity, kind, name


class Weights(NamedTuple):
    """Of what depends on the text; see `openmofi.entities.config.LinkConfig`."""

    prior: float
    name: float
    case: float
    singular: float  # share of a plural's senses that are its singular's
    head: float  # share of a longer alias's senses that are its head's


class Candidates(NamedTuple):
    """The candidates of all groups, one after the other."""

    starts: Ints  # [groups + 1]
    entities: Numbers
    priors: Halves  # P(entity | surface)
    logits: Floats  # without the context
    reasons: Bytes


@compiled
def gather_candidates(groups: Ints, postings: Postings, weights: Weights) -> Candidates:
    """The candidates of all groups: an alias's own, its singular's, and its head's.

    Args:
        groups: ``aliases`` of `Groups`.
        postings: Of the knowledge base.
        weights: What counts how much.
    """
    starts, flags = postings.starts, postings.flags
    room: Int = 0
    for i in range(len(groups)):
        for part in range(3):
            alias = groups[i, part]
            if alias != NONE:
                room += min(np.int64(starts[alias + 1]) - np.int64(starts[alias]), MAX_SCORED)
    out = Candidates(
        np.zeros(len(groups) + 1, np.int64),
        np.empty(room, np.int32),
        np.empty(room, np.float32),
        np.empty(room, np.float64),
        np.zeros(room, np.uint8),
    )
    end = 0
    for i in range(len(groups)):
        begin = end
        alias, singular, head, evidence = groups[i]
        has_singular = singular != NONE and weights.singular > 0.0
        has_head = head != NONE and weights.head > 0.0 and _names_own(starts, flags, alias)
        share = 1.0 - (weights.singular if has_singular else 0.0)
        share -= weights.head if has_head else 0.0
        end = _take(out, begin, end, alias, share, 0, evidence, postings, weights)
        if has_singular:
            share = weights.singular
            end = _take(out, begin, end, singular, share, PLURAL, evidence, postings, weights)
        if has_head:
            end = _take(out, begin, end, head, weights.head, HEAD, evidence, postings, weights)
        if end == begin + 1:
            out.reasons[begin] |= ONLY_CANDIDATE
        out.starts[i + 1] = end
    return Candidates(
        out.starts, out.entities[:end], out.priors[:end], out.logits[:end], out.reasons[:end]
    )


@inlined
def _names_own(starts: Any, flags: Bytes, alias: Int) -> Int:
    """Whether an alias names something else than a kind of its head."""
    found = False
    for i in range(starts[alias], starts[alias + 1]):
        found = found or flags[i] & NAMES_OWN
    return found


@compiled
def _take(
    out: Candidates, begin: Int, end: Int, alias: Int, share: float, reason: Int, evidence: Int,
    postings: Postings, weights: Weights,
) -> Int:  # fmt: skip
    """Append an alias's candidates to those of a group, which begin at ``begin``."""
    entities, priors, known_flags, known_logits = (
        postings.entities, postings.priors, postings.flags, postings.logits,
    )  # fmt: skip
    out_entities, out_priors, out_logits, out_reasons = (
        out.entities, out.priors, out.logits, out.reasons,
    )  # fmt: skip
    first = np.int64(postings.starts[alias])
    stop = min(np.int64(postings.starts[alias + 1]), first + MAX_SCORED)
    offset = weights.prior * np.log(share) if share < 1.0 else 0.0
    written = evidence & (LOWER | UPPER)
    for i in range(first, stop):
        entity, flags = entities[i], known_flags[i]
        small = flags & WRITTEN_SMALL
        if (evidence & ALL_CAPITALS and small) or (reason == PLURAL and not small):
            continue
        known = False
        for j in range(begin, end if reason else begin):
            known = known or out_entities[j] == entity
        if known:
            continue
        logit, reasons = offset + known_logits[i], reason
        reasons |= VARIANT if flags & IS_VARIANT else 0
        if flags & IS_NAME and reason == HEAD:  # it is the name of the last words, not of all
            logit -= weights.name
        elif flags & IS_NAME:
            reasons |= NAME
        if not small and written == UPPER:
            logit += weights.case
            reasons |= CASE_FITS
        elif not small and written == LOWER:
            logit -= weights.case
            reasons |= CASE_DIFFERS
        out_entities[end], out_priors[end] = entity, share * priors[i]
        out_logits[end], out_reasons[end] = logit, reasons
        end += 1
    return end
