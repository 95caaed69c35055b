"""How the boxes of a picture are told apart: by what the rule makes of each."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from openmofi.textregions.preview.source import Regions
from openmofi.textregions.rule import TextRule


class Style(NamedTuple):
    """A line, by colour and by pattern: neither alone need be seen."""

    colour: str  # told apart by the colour-blind too (Okabe and Ito)
    dashes: tuple[int, ...]  # pixels on and off; none: drawn through
    says: str


STYLES: Mapping[str, Style] = {
    "decides": Style("#d55e00", (), "sure and of a fitting area: drops its picture"),
    "below": Style("#0072b2", (8, 5), "of a fitting area, below the cut"),
    "large": Style("#e69f00", (14, 4, 3, 4), "too large to be judged"),
    "small": Style("#b0509a", (3, 4), "too small to count"),
}


class Mark(NamedTuple):
    """One box to draw."""

    polygon: tuple[float, ...]  # x0 y0 … x3 y3 in pixels of the picture
    confidence: float
    detector_confidence: float
    area: float
    kind: str  # a key of `STYLES`
    sure: bool  # reaches the cut
    compared: bool  # the surest within the limits of area: what the cut is compared with


def marks_of(regions: Regions, rule: TextRule) -> list[Mark]:
    """All boxes, the one that is compared first, then the surest."""
    # As float32, like the rule itself: 0.2 must not be above 0.2.
    large = regions.areas > np.float32(rule.area_limit)
    small = regions.areas < np.float32(rule.min_area)
    sure = regions.confidences >= np.float32(rule.min_confidence)
    kinds = np.where(large, "large", np.where(small, "small", np.where(sure, "decides", "below")))
    fits = ~large & ~small
    order = np.lexsort((np.arange(len(fits)), -regions.confidences, ~fits)).tolist()
    return [
        Mark(
            tuple(regions.polygons[place].tolist()),
            float(regions.confidences[place]),
            float(regions.detector_confidences[place]),
            float(regions.areas[place]),
            str(kinds[place]),
            bool(sure[place]),
            bool(number == 0 and fits[place]),
        )
        for number, place in enumerate(order)
    ]


def shown(confidence: float, rule: TextRule) -> str:
    """Three decimals, or as many as tell it from the cut; shortened, since 0.4999 is below 0.5."""
    digits = 3
    while (
        digits < 8
        and confidence != np.float32(rule.min_confidence)
        and round(confidence, digits) == round(rule.min_confidence, digits)
    ):
        digits += 1
    return f"{confidence:.{digits}f}"


def share(area: float) -> str:
    """An area as a share of the picture."""
    number = f"{100 * area:.2g}" if area < 0.01 else f"{100 * area:.1f}"
    return f"{number}\u00a0%"  # never on a line of its own


def brief(mark: Mark, rule: TextRule) -> str:
    """Confidence and area."""
    return f"{shown(mark.confidence, rule)}, area {share(mark.area)}"


def detector_says(mark: Mark) -> str:
    """The detector's own confidence where it is another."""
    if abs(mark.detector_confidence - mark.confidence) < 0.0005:
        return ""
    return f"detector {mark.detector_confidence:.3f}"
