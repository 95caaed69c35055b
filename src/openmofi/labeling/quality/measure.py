"""What a cut makes of a judged sample: a calibration, or a check on a sample held out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmofi.errors import InputError
from openmofi.labeling.quality.calibration import Calibration, Interval
from openmofi.labeling.quality.cut import choose_cut
from openmofi.labeling.quality.judged import Judged

_MOST_POINTS = 200


@dataclass(frozen=True)
class Check:
    """A given cut on a judged sample; nothing was chosen on it."""

    cut: float
    precision: Interval
    recall: Interval
    f1: Interval
    without_cut: Interval
    pairs: int
    right: int
    kept: int
    kept_right: int
    images: int
    same_sample: bool  # the very one that the cut was chosen on
    origin_known: bool  # both sides say what their scores were made with, or the cut is a number


def calibrate(judged: Judged, precision: float, confidence: float) -> Calibration:
    """Choose the cut and say how good it is on the sample that it was chosen on.

    Args:
        judged: The sample.
        precision: Least share of right pairs among those kept, above 0, below 1.
        confidence: Of reaching it, above 0, below 1.

    Raises:
        InputError: No cut shows that precision.
    """
    cut = choose_cut(judged, precision, confidence)
    return Calibration(
        cut=cut,
        precision_wished=precision,
        confidence=confidence,
        precision=judged.precision(cut),
        recall=judged.recall(cut),
        without_cut=judged.precision(-1.0),
        made_with=judged.made_with,
        sample=judged.digest,
        curve=curve_of(judged, cut),
        **_counts(judged, cut),
    )


def check_cut(judged: Judged, cut: float | Calibration) -> Check:
    """Measure a cut that was chosen elsewhere, as a number or as a calibration says it.

    Raises:
        InputError: The calibration's scores were made with something else than the sample's.
    """
    same_sample, origin_known = False, True
    at = cut.cut if isinstance(cut, Calibration) else cut
    if isinstance(cut, Calibration):
        check_made_with(cut.made_with, judged.made_with)
        same_sample = cut.sample == judged.digest
        origin_known = bool(cut.made_with and judged.made_with)
    return Check(
        cut=at,
        precision=judged.precision(at),
        recall=judged.recall(at),
        f1=judged.f1(at),
        without_cut=judged.precision(-1.0),
        same_sample=same_sample,
        origin_known=origin_known,
        **_counts(judged, at),
    )


def check_made_with(chosen: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse scores of another model, knowledge base or template; what is not said may be any.

    Raises:
        InputError: They differ; the message says in what.
    """
    for name in sorted(chosen.keys() & found.keys()):
        if chosen[name] != found[name]:
            raise InputError(
                f"the cut was chosen on scores made with {name} {_short(chosen[name])}, and these "
                f"are made with {_short(found[name])}: a cosine of the one says nothing of the "
                "other; calibrate again"
            )


def _short(value: Any) -> str:
    return f"{value!s:.120}"


def _counts(judged: Judged, cut: float) -> dict[str, int]:
    kept = judged.kept(cut)
    return {
        "pairs": len(judged),
        "right": int(judged.right.sum()),
        "kept": int(kept.sum()),
        "kept_right": int((kept & judged.right).sum()),
        "images": len(judged.strata),
    }


def curve_of(judged: Judged, cut: float) -> tuple[tuple[float, ...], ...]:
    """At most 200 cuts, the lowest first, with what `calibration.CURVE` names; ``cut`` is one."""
    levels = np.unique(judged.scores)
    places = np.linspace(0, len(levels) - 1, min(len(levels), _MOST_POINTS - 1)).round().astype(int)
    points = []
    for level in np.union1d(levels[places], [cut]).tolist():
        precision = judged.precision(level)
        points.append(
            (
                level,
                int(judged.kept(level).sum()),
                precision.estimate,
                precision.low,
                precision.high,
                judged.recall(level).estimate,
            )
        )
    return tuple(points)
