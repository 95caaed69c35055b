"""The text rule against a loop over boxes."""

import numpy as np
import pytest
from pydantic import ValidationError

from openmofi import records
from openmofi.textregions.rule import TextRule, masked_flags, text_flags


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
    rule = TextRule().for_boxes(second_look=False)
    flagged, _ = text_flags(regions([boxes]), rule)
    assert flagged.tolist() == [expected]


def test_after_a_second_look_no_box_is_too_large() -> None:
    large = regions([[(0.9, 0.21)], [(0.9, 1.0)], [(0.4, 1.0)]])
    rule = TextRule().for_boxes(second_look=True)
    assert [one.tolist() for one in text_flags(large, rule)] == [[True, True, False], [False] * 3]
    without = TextRule().for_boxes(second_look=False)
    assert [one.tolist() for one in text_flags(large, without)] == [
        [False] * 3,
        [True, True, False],
    ]


@pytest.mark.parametrize("second_look", [False, True])
def test_a_limit_of_ones_own_stays(second_look: bool) -> None:
    assert TextRule(max_area=0.3).for_boxes(second_look=second_look).max_area == 0.3


def masked(*rows: tuple[float | None, str]):
    return records.from_rows(
        [
            {"caption_score": score, "masked_score": score, "masked_area": score, "status": status}
            for score, status in rows
        ],
        records.MASKED_SCORES,
    )


def test_a_masked_score_below_the_cut_says_that_the_text_was_needed() -> None:
    table = masked((0.2, "ok"), (0.19, "ok"), (None, "skipped"), (None, "failed"), (-1.0, "ok"))
    flags = masked_flags(table, TextRule(policy="text_dependent", min_masked_score=0.2))
    assert flags.scored.tolist() == [True, True, False, False, True]
    assert flags.below.tolist() == [False, True, False, False, True]
    assert flags.failed.tolist() == [False, False, False, True, False]


def test_without_a_cut_nothing_is_below_it() -> None:
    flags = masked_flags(masked((-1.0, "ok"), (None, "skipped")), TextRule())
    assert flags.below.tolist() == [False, False]


def test_text_dependent_has_no_cut_of_its_own() -> None:
    with pytest.raises(ValidationError, match="text_dependent needs min_masked_score"):
        TextRule(policy="text_dependent")
    assert TextRule(min_masked_score=0.2).policy == "any_text"


def test_configs_from_before_the_policies_read_as_they_did() -> None:
    rule = TextRule.model_validate({"drop_text": True, "min_confidence": 0.6})
    assert (rule.policy, rule.drop_text) == ("any_text", True)
