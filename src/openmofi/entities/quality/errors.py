"""What goes wrong most: entities taken for others, spans that should not be, spans not seen."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from openmofi.entities.quality.judged import Candidate, Example, Judged, JudgedCaption

_MOST = 20  # rows of a table


@dataclass(frozen=True)
class Confusion:
    """An entity chosen in place of another; scores and reasons are the example's."""

    surface: str  # lower-cased
    chosen: str
    wanted: tuple[str, ...]
    count: int
    score: float
    right_score: float | None  # of the best right candidate; None: not among the candidates
    reasons: str
    example: Example


@dataclass(frozen=True)
class Misfit:
    """A span that only one side has; entities, score and reasons are the example's."""

    surface: str  # lower-cased
    count: int
    entities: tuple[str, ...]
    score: float | None  # None for a missed span
    reasons: str
    example: Example


def confusions(mentions: Iterable[Judged]) -> tuple[Confusion, ...]:
    """Found mentions whose entity is wrong, the most frequent kinds first, at most 20.

    The example of a kind is its mention of the highest score.
    """
    groups: dict[tuple[str, str, tuple[str, ...]], list[tuple[Candidate, Judged]]] = {}
    for one in mentions:
        if one.chosen is not None and not one.right:
            kind = (one.mention.surface.lower(), one.chosen.entity_id, one.mention.ids)
            groups.setdefault(kind, []).append((one.chosen, one))
    found = []
    for (surface, entity, wanted), several in groups.items():
        chosen, one = max(several, key=lambda pair: pair[0].score)
        right_score = one.best_right.score if one.best_right else None
        found.append(
            Confusion(
                surface, entity, wanted, len(several), chosen.score, right_score, chosen.reasons,
                one.example,
            )
        )  # fmt: skip
    found.sort(key=lambda one: (-one.count, -one.score, one.surface, one.chosen, one.wanted))
    return tuple(found[:_MOST])


def spurious(captions: Iterable[JudgedCaption]) -> tuple[Misfit, ...]:
    """Predicted spans that gold does not have, by surface, the most frequent first, at most 20."""
    return _most_frequent(
        Misfit(one.surface.lower(), 1, (one.entity_id,), one.score, one.reasons, example)
        for caption in captions
        for one, example in caption.spurious
    )


def missed(mentions: Iterable[Judged]) -> tuple[Misfit, ...]:
    """Gold spans that were not predicted, by surface, the most frequent first, at most 20."""
    return _most_frequent(
        Misfit(one.mention.surface.lower(), 1, one.mention.ids, None, "", one.example)
        for one in mentions
        if one.chosen is None
    )


def _most_frequent(misfits: Iterable[Misfit]) -> tuple[Misfit, ...]:
    """One for each surface: the one of the highest score, with the count of all."""
    groups: dict[str, list[Misfit]] = {}
    for one in misfits:
        groups.setdefault(one.surface, []).append(one)
    best = [max(several, key=lambda one: one.score or 0.0) for several in groups.values()]
    best.sort(key=lambda one: (-len(groups[one.surface]), -(one.score or 0.0), one.surface))
    return tuple(dataclasses.replace(one, count=len(groups[one.surface])) for one in best[:_MOST])
