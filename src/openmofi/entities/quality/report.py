"""The score of links, told: tables for people, one JSON object for programs."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.quality.errors import Confusion, Misfit
from openmofi.entities.quality.score import Calibration, Figures, Rate, Score

_NONE = "\N{EN DASH}"  # nothing to share or to name
_CAPTION_WIDTH = 60
_DESCRIPTION_WIDTH = 80


class Named(NamedTuple):
    """What a knowledge base says of an entity."""

    name: str
    description: str


def entity_names(score: Score, base: KnowledgeBase | None) -> dict[str, Named]:
    """Name and description of the entities of the tables that ``base`` knows, by id."""
    if base is None:
        return {}
    errors = (*score.spurious, *score.missed)
    ids = {entity for one in errors for entity in one.entities}
    ids |= {entity for one in score.confusions for entity in (one.chosen, *one.wanted)}
    return {
        entity: Named(base.name(entity), base.description(entity))
        for entity in sorted(ids)
        if entity in base
    }


def as_json(score: Score, names: Mapping[str, Named]) -> dict[str, Any]:
    """The whole score as plain values; shares are 0 to 1, or ``None`` if nothing was there."""
    without = score.without
    return {
        "all": _figures_json(score.all),
        "without": {
            "prefixes": list(score.prefixes),
            "left_out": score.left_out or None,
            **(_figures_json(without) if without else dict.fromkeys(_figures_json(score.all))),
        },
        "calibration": asdict(score.calibration),
        "confusions": [_example_json(one) for one in score.confusions],
        "spurious": [_example_json(one) for one in score.spurious],
        "missed": [_example_json(one) for one in score.missed],
        "unjudged": score.unjudged,
        "entities": {entity: one._asdict() for entity, one in names.items()},
    }


def _figures_json(figures: Figures) -> dict[str, Any]:
    shares = {"precision": figures.precision, "recall": figures.recall, "f1": figures.f1}
    links = {
        "all": figures.links,
        "ambiguous": figures.ambiguous,
        "candidate_recall": figures.candidate_recall,
    }
    return {
        "captions": figures.captions,
        "mentions": {
            "gold": figures.gold,
            "predicted": figures.predicted,
            "found": figures.found,
            **{name: _interval(rate) for name, rate in shares.items()},
        },
        "links": {
            name: {"right": rate.hits, "gold": rate.total, **_interval(rate)}
            for name, rate in links.items()
        },
    }


def _interval(rate: Rate) -> dict[str, float | None]:
    return {"value": rate.value, "low": rate.low, "high": rate.high}


def _example_json(one: Confusion | Misfit) -> dict[str, Any]:
    values = {name: value for name, value in vars(one).items() if name != "example"}
    shard, key = one.example.sample
    return {**values, "shard": shard, "key": key, "caption": one.example.caption}


def as_text(score: Score, names: Mapping[str, Named]) -> str:
    """The whole score as aligned tables."""
    every = score.all
    parts = [
        "\n".join([*_figures(score), *_remarks(score)]),
        "\n".join(_calibration(score.calibration)),
        _titled(
            f"Linked wrongly: {every.found - every.links.hits} of {every.found} mentions found",
            ["count", "surface", "chosen", "score", "wanted", "score", "reasons", "for example"],
            [_confusion(one, names) for one in score.confusions],
        ),
        _titled(
            f"Spurious: {every.predicted - every.found} of {every.predicted} spans predicted",
            ["count", "surface", "chosen", "score", "reasons", "for example"],
            [
                _row(one, [" ".join(one.entities), _number(one.score), one.reasons], names)
                for one in score.spurious
            ],
        ),
        _titled(
            f"Missed: {every.gold - every.found} of {every.gold} gold spans",
            ["count", "surface", "wanted", "for example"],
            [_row(one, [" ".join(one.entities)], names) for one in score.missed],
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _figures(score: Score) -> list[str]:
    columns = [score.all, *([score.without] if score.without else [])]
    heads = ["all captions", f"without {', '.join(score.prefixes)}"][: len(columns)]
    rows = [
        ["", *heads],
        ["captions", *(f"{one.captions:5}" for one in columns)],
        ["gold mentions", *(f"{one.gold:5}" for one in columns)],
        ["predicted mentions", *(f"{one.predicted:5}" for one in columns)],
        ["precision", *(_counted(one.precision) for one in columns)],
        ["recall", *(_counted(one.recall) for one in columns)],
        ["F1", *(_percent(one.f1) for one in columns)],
        ["right links", *(_counted(one.links) for one in columns)],
        ["right links, ambiguous", *(_counted(one.ambiguous) for one in columns)],
        ["right among candidates", *(_counted(one.candidate_recall) for one in columns)],
    ]
    return _aligned(rows)


def _remarks(score: Score) -> list[str]:
    remarks = ["In brackets: 95 % bootstrap intervals over captions. Mentions by exact span."]
    if score.left_out:
        remarks.append(f"No figures without {', '.join(score.prefixes)}: {score.left_out}.")
    if score.unjudged:
        remarks.append(f"Samples that the gold standard lacks, not judged: {score.unjudged}.")
    return remarks


def _percent(rate: Rate) -> str:
    if rate.value is None:
        return _NONE
    low, high = (_NONE if x is None else f"{100 * x:.1f}" for x in (rate.low, rate.high))
    return f"{100 * rate.value:5.1f} % ({low} to {high})"


def _counted(rate: Rate) -> str:
    return f"{_percent(rate)}  {rate.hits}/{rate.total}" if rate.total else _NONE


def _calibration(calibration: Calibration) -> list[str]:
    ece = _NONE if calibration.ece is None else f"{100 * calibration.ece:.1f} %"
    title = (
        f"Calibration: {calibration.mentions} mentions found, ECE {ece}, Brier score "
        + _number(calibration.brier)
    )
    rows = [["score", "count", "mean score", "right"]]
    for one in calibration.bins:
        share = _NONE if one.right is None else f"{100 * one.right:5.1f} %"
        span = f"{one.low:.1f} to {one.high:.1f}"
        rows.append([span, f"{one.count:5}", _number(one.mean_score), share])
    return [title, *_aligned(rows)]


class _Row(NamedTuple):
    cells: list[str]
    notes: list[str]


def _confusion(one: Confusion, names: Mapping[str, Named]) -> _Row:
    right = "not among the candidates" if one.right_score is None else _number(one.right_score)
    wanted = " ".join(one.wanted)
    cells = [one.chosen, _number(one.score), wanted, right, one.reasons]
    return _row(one, cells, names)


def _row(one: Confusion | Misfit, cells: Sequence[str], names: Mapping[str, Named]) -> _Row:
    caption = textwrap.shorten(one.example.caption, _CAPTION_WIDTH, placeholder=" …")
    ids = (one.chosen, *one.wanted) if isinstance(one, Confusion) else one.entities
    return _Row(
        [f"{one.count:5}", " ".join(one.surface.split()), *cells, caption],
        [_note(entity, names[entity]) for entity in ids if entity in names],
    )


def _note(entity: str, named: Named) -> str:
    text = textwrap.shorten(named.description, _DESCRIPTION_WIDTH, placeholder=" …")
    return f"{entity} {named.name}" + (f": {text}" if text else "")


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


def _titled(title: str, head: Sequence[str], rows: Sequence[_Row]) -> str:
    if not rows:
        return ""
    lines = _aligned([head, *(row.cells for row in rows)])
    told = [title, lines[0]]
    for line, row in zip(lines[1:], rows, strict=True):
        told += [line, *(f"{'':9}{note}" for note in row.notes)]
    return "\n".join(told)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
