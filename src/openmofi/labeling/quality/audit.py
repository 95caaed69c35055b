"""What the answers of an audit say of all labels: their precision, and where they go wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from openmofi.labeling.quality.calibration import Interval
from openmofi.labeling.quality.report import BRACKETS, aligned, percent
from openmofi.labeling.quality.samples import VERDICTS, Answer, Answers


@dataclass(frozen=True)
class StratumCount:
    """The answers of one stratum."""

    stratum: str
    images: int
    right: int
    wrong: int
    unsure: int


@dataclass(frozen=True)
class Audit:
    """The precision of labels, without any cut."""

    precision: Interval  # weighted, answers that are unsure left out
    if_unsure_wrong: float
    if_unsure_right: float
    images: int
    right: int
    wrong: int
    unsure: int
    strata: tuple[StratumCount, ...]


def audit_of(answers: Answers) -> Audit:
    """Sum the answers up.

    Raises:
        InputError: All of them are unsure.
    """
    every = answers.answers
    return Audit(
        precision=answers.judged().precision(-1.0),
        if_unsure_wrong=answers.judged(unsure=False).precision(-1.0).estimate,
        if_unsure_right=answers.judged(unsure=True).precision(-1.0).estimate,
        images=len({one.image for one in every}),
        right=_count(every, "right"),
        wrong=_count(every, "wrong"),
        unsure=_count(every, "unsure"),
        strata=tuple(_strata(every)),
    )


def _strata(answers: tuple[Answer, ...]) -> Iterator[StratumCount]:
    groups: dict[str, list[Answer]] = {}
    for one in answers:
        groups.setdefault(one.stratum, []).append(one)
    for name, several in sorted(groups.items()):
        images = len({one.image for one in several})
        yield StratumCount(name, images, *(_count(several, verdict) for verdict in VERDICTS))


def _count(answers: Iterable[Answer], verdict: str) -> int:
    return sum(one.verdict == verdict for one in answers)


def audit_text(one: Audit, source: str) -> str:
    """The audit for people, with how to go on.

    Args:
        one: The audit.
        source: The file of answers.
    """
    judged = one.right + one.wrong
    span = f"{100 * one.if_unsure_wrong:.1f} % to {100 * one.if_unsure_right:.1f} %"
    figures = [
        ["precision", percent(one.precision), f"{one.right} of {judged} labels"],
        ["unsure", f"{one.unsure} labels", f"{span} if all were wrong or right"],
        ["sample", f"{one.images} images", f"{judged + one.unsure} labels"],
    ]
    rows = [["stratum", "images", "right", "wrong", "unsure"]]
    for stratum in one.strata:
        rows.append([str(value) for value in asdict(stratum).values()])
    return "\n".join(
        [
            *aligned(figures),
            BRACKETS,
            "The precision is of all settled labels, weighted back from the strata; no cut.",
            "",
            *aligned(rows),
            "",
            "To choose a cut: openmofi labeling calibrate "
            f"--answers {source} --precision 0.9 --out CALIBRATION.json",
        ]
    )


def audit_json(one: Audit) -> dict[str, Any]:
    """The audit as plain values."""
    return {"kind": "audit", **asdict(one)}
