"""Compiled: the best candidates of each mention, with their places in the texts."""

import numpy as np

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_candidates import HEAD, Candidates, Floats, Halves, Numbers
from openmofi.entities.kernels_groups import Groups
from openmofi.entities.kernels_hash import Bools, Bytes, Int, Ints
from openmofi.entities.kernels_words import NONE


@compiled
def keep_best(
    groups: Groups, candidates: Candidates, agreement: Floats, scores: Floats, firsts: Ints,
    lasts: Ints, kinds: Bytes, shown: Bools, most: int,
) -> tuple[Numbers, Halves, Int]:  # fmt: skip
    """The best candidates of all mentions.

    Args:
        groups: The mentions.
        candidates: Of the groups; the likelier beforehand is the better of equals.
        agreement: ``[candidates]``
        scores: ``[candidates]``
        firsts: ``[tokens]`` where each begins in its text.
        lasts: Where it ends.
        kinds: ``[entities of the knowledge base]``
        shown: ``[kinds]`` whether a picture can show such a thing.
        most: Candidates kept of a mention.

    Returns:
        ``[7, links]`` mention, text, start, end, entity, rank, reasons; ``[3, links]`` prior,
        agreement, score; how many mentions were dropped since no picture can show what they most
        likely mean.
    """
    mentions, starts, entities = groups.mentions, candidates.starts, candidates.entities
    priors, reasons = candidates.priors, candidates.reasons
    best, counts = np.empty(len(entities), np.int64), np.zeros(len(starts) - 1, np.int64)
    for group in range(len(counts)):
        a, b = starts[group], starts[group + 1]
        kept = 0
        for i in range(a, b):
            place = a + kept
            while place > a and _better(i, best[place - 1], scores, priors, entities):
                if place < a + most:
                    best[place] = best[place - 1]
                place -= 1
            if place < a + most:
                best[place] = i
                kept = min(kept + 1, most)
        counts[group] = kept if b > a and shown[kinds[entities[best[a]]]] else 0
    total = 0
    for i in range(len(mentions)):
        total += counts[mentions[i, 0]]
    numbers, floats = np.empty((7, total), np.int32), np.empty((3, total), np.float32)
    written, mention, dropped = 0, 0, 0
    for i in range(len(mentions)):
        group, first, last, head, text = mentions[i]
        for rank in range(counts[group]):
            one = best[starts[group] + rank]
            # "John Does" has no head, "John Doe" has one, and both are one group.
            begin = head if reasons[one] & HEAD and head != NONE else first
            numbers[0, written], numbers[1, written] = mention, text
            numbers[2, written], numbers[3, written] = firsts[begin], lasts[last]
            numbers[4, written], numbers[5, written] = entities[one], rank
            numbers[6, written] = reasons[one]
            floats[0, written], floats[1, written] = priors[one], agreement[one]
            floats[2, written] = scores[one]
            written += 1
        mention += counts[group] > 0
        dropped += counts[group] == 0
    return numbers, floats, dropped


@inlined
def _better(one: Int, other: Int, scores: Floats, priors: Halves, entities: Numbers) -> Int:
    if scores[one] != scores[other]:
        return scores[one] > scores[other]
    if priors[one] != priors[other]:
        return priors[one] > priors[other]
    return entities[one] < entities[other]
