"""The text rule against a loop over boxes."""

import numpy as np
import pytest

from openmofi import records
from openmofi.textregions.rule import TextRule, text_flags


def regions(rows: list[list[tuple[float, float]]]):
    return records.from_rows(
        [
            {
                "boxes": [[0.0] * 8 for _ in boxes],
                "confidences": [c for c, _ in boxes],
                "detector_confidences": [c for c, _ in boxes],
                "areas": [a for _, a in boxes],
                "status": "ok",
            }
            for boxes in rows
        ],
        records.TEXT_REGIONS,
    )


def test_the_rule_equals_a_loop_over_boxes() -> None:
    rng = np.random.default_rng(0)
    rows = [
        [(float(c), float(a)) for c, a in zip(rng.random(n), rng.random(n) ** 4, strict=True)]
        for n in rng.integers(0, 5, 200)
    ]
    rule = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)
    flagged, large = text_flags(regions(rows), rule)
    assert flagged.tolist() == [any(c >= 0.5 and 0.001 <= a <= 0.2 for c, a in row) for row in rows]
    assert large.tolist() == [any(c >= 0.5 and a > 0.2 for c, a in row) for row in rows]
    assert 0 < flagged.sum() < 200


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(0.5, 0.001)], True),
        ([(0.9, 0.2)], True),
        ([(0.49, 0.1)], False),
        ([(0.9, 0.0009)], False),
        ([(0.9, 0.21)], False),
        # The sure box is too large and the small one is not sure: no single box fits.
        ([(0.9, 0.5), (0.3, 0.05)], False),
        ([(0.9, 0.5), (0.6, 0.05)], True),
        ([], False),
    ],
)
def test_one_and_the_same_box_must_meet_all_limits(
    boxes: list[tuple[float, float]], expected: bool
) -> None:
    flagged, _ = text_flags(regions([boxes]), TextRule())
    assert flagged.tolist() == [expected]
