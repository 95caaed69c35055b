"""A calibration, a check or an audit, told: aligned lines for people, one object for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from openmofi.labeling.quality import calibration
from openmofi.labeling.quality.calibration import Calibration, Interval
from openmofi.labeling.quality.measure import Check
from openmofi.labeling.quality.samples import LeftOut

BRACKETS = "In brackets: two-sided 95 % intervals, with images as what was drawn."
_RECALL = "Recall is among the labels judged: what no text named is not counted."


def calibration_text(one: Calibration, left_out: LeftOut, *, weighted: bool) -> str:
    """What a person needs to know of a cut that was just chosen.

    Args:
        one: The calibration.
        left_out: Of the sample.
        weighted: Whether pairs stand for different numbers of images.
    """
    wished = f"precision {_bare(one.precision_wished)} with {_bare(one.confidence)} confidence"
    rows = [["cut", f"{one.cut:.4f}", "the least clip_score of a label"], ["wished", wished, ""]]
    remarks = [
        BRACKETS,
        _RECALL,
        *_sample_remarks(left_out, weighted),
        "The cut was chosen on this very sample: check it on images held out, with --cut.",
    ]
    return "\n".join([*aligned([*rows, *_shares(one)]), *remarks])


def check_text(one: Check, left_out: LeftOut, *, weighted: bool) -> str:
    """What a person needs to know of a cut on another sample; see `calibration_text`."""
    rows = [["cut", f"{one.cut:.4f}", ""], *_shares(one)]
    rows.insert(3, ["F1", percent(one.f1), ""])
    remarks = [BRACKETS, _RECALL, *_sample_remarks(left_out, weighted)]
    if one.same_sample:
        remarks.append("This is the very sample that the cut was chosen on: it proves nothing new.")
    if not one.origin_known:
        remarks.append("Whether the cut belongs to these scores is not known: they do not say.")
    return "\n".join([*aligned(rows), *remarks])


def _shares(one: Calibration | Check) -> list[list[str]]:
    return [
        ["precision", percent(one.precision), f"{one.kept_right} of {one.kept} labels kept"],
        ["recall", percent(one.recall), f"{one.kept_right} of {one.right} right labels"],
        ["without a cut", percent(one.without_cut), f"{one.right} of {one.pairs} labels"],
        ["sample", f"{one.images} images", ""],
    ]


def _sample_remarks(left_out: LeftOut, weighted: bool) -> list[str]:
    remarks = []
    if left_out.without_label:
        remarks.append(f"Images of the truth without any settled label: {left_out.without_label}.")
    if left_out.unsure:
        remarks.append(f"Answers 'unsure', left out: {left_out.unsure}.")
    if weighted:
        remarks.append("Shares are weighted by how many images each stands for; counts are not.")
    return remarks


def calibration_json(one: Calibration, left_out: LeftOut) -> dict[str, Any]:
    """The calibration's file, and what was left out of it."""
    return {**calibration.as_json(one), "left_out": left_out._asdict()}


def check_json(one: Check, left_out: LeftOut) -> dict[str, Any]:
    """The check as plain values."""
    content = asdict(one)
    content["without_cut"] = {"precision": content["without_cut"]}
    return {"kind": "check", **content, "left_out": left_out._asdict()}


def percent(share: Interval) -> str:
    """A share with its interval."""
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.estimate:5.1f} % ({low:.1f} to {high:.1f})"


def _bare(share: float) -> str:
    return f"{100 * share:g} %"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
