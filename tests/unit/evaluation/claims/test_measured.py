"""Several seeds as one: means, differences of the means, and when a claim holds."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from benchmarks.claims.arms import ARMS, CLAIMS, Claim
from benchmarks.claims.chart import Chart
from benchmarks.claims.measured import Found, Seeds, judge, values_by_seed, verdict
from benchmarks.claims.page import arms_table, claims_table
from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws, Interval
from openmofi.evaluation.scores import Scores

CLASSES = np.repeat(np.arange(20), 5)
DRAWS = Draws(500)
CLAIM = Claim("one above the other", "one", "other", metrics.RETRIEVAL, "paper: +1")


def arm(*values: float) -> Seeds:
    """One seed a value: every query scores it."""
    return Seeds([Scores({metrics.RETRIEVAL: np.full(100, v)}, groups=CLASSES) for v in values])


def test_seeds_are_averaged_query_by_query() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(100), rng.random(100)
    seeds = Seeds([Scores({"a": first, "b": first}), Scores({"a": second})])
    assert list(seeds.mean) == ["a"]
    assert seeds.mean["a"] == pytest.approx((first + second) / 2)


def test_a_query_that_one_seed_cannot_judge_counts_for_none() -> None:
    one, other = np.array([0.2, np.nan]), np.array([0.4, 0.6])
    mean = Seeds([Scores({"a": one}), Scores({"a": other})]).mean["a"]
    assert mean[0] == pytest.approx(0.3)
    assert np.isnan(mean[1])


def test_a_difference_is_that_of_the_means() -> None:
    found = judge(CLAIM, {"one": arm(0.5, 0.7), "other": arm(0.4, 0.4)}, DRAWS)
    assert found is not None
    assert found.difference.value == pytest.approx(20)
    assert list(found.by_seed) == pytest.approx([10, 30])
    assert found.verdict == "holds"


def test_an_arm_without_the_metric_gives_no_verdict() -> None:
    other = Seeds([Scores({}, groups=CLASSES)])
    assert judge(CLAIM, {"one": arm(0.5), "other": other}, DRAWS) is None


@pytest.mark.parametrize(
    ("low", "high", "seeds", "expected"),
    [
        (1, 3, [1, 2, 3], "holds"),
        (1, 3, [-0.1, 2, 4], "open"),  # one seed says otherwise
        (-1, 3, [1, 2, 3], "open"),
        (-3, -1, [-1, -2, -3], "reversed"),
        (-3, -1, [0.1, -2, -3], "open"),
        (np.nan, np.nan, [1, 2, 3], "open"),
    ],
)
def test_a_claim_holds_where_interval_and_all_seeds_agree(
    low: float, high: float, seeds: list[float], expected: str
) -> None:
    assert verdict(Interval(2.0, low, high, 100), seeds) == expected


def test_values_are_in_percent_one_a_seed() -> None:
    assert values_by_seed(arm(0.25, 0.5), DRAWS)[metrics.RETRIEVAL] == pytest.approx([25, 50])


def found_ones() -> list[Found]:
    ends = [(2.0, 5.0, "holds"), (-1.0, 1.0, "open"), (-4.0, -2.0, "reversed")]
    return [
        Found(CLAIM, Interval((low + high) / 2, low, high, 100), [low, high], word)
        for low, high, word in ends
    ]


def test_tables_show_mean_and_spread_and_the_papers_figures() -> None:
    shown = arms_table({"multitask": {metrics.RETRIEVAL: [40.0, 50.0]}})
    assert "| multi-task | 45.0 (40.0 to 50.0) | - |" in shown
    claims = claims_table(found_ones())
    assert "| +3.5 (+2.0 to +5.0) | +2.0, +5.0 | **holds** | paper: +1 |" in claims
    assert "**the reverse**" in claims
    assert "not shown" in claims


def test_the_picture_puts_intervals_on_their_side_of_zero() -> None:
    root = ElementTree.fromstring(Chart(found_ones()).svg())
    space = {"s": "http://www.w3.org/2000/svg"}
    lines = {
        line.attrib["class"]: sorted((float(line.attrib["x1"]), float(line.attrib["x2"])))
        for line in root.findall("s:line", space)
    }
    zero = lines["zero"][0]
    assert lines["line reversed"][1] < zero < lines["line holds"][0]
    assert lines["line open"][0] < zero < lines["line open"][1]
    assert len(root.findall("s:circle", space)) == 3 * (1 + 2)


def test_every_claim_is_about_two_arms_that_are_trained() -> None:
    names = {arm.name for arm in ARMS}
    assert len(names) == len(ARMS)
    for claim in CLAIMS:
        assert {claim.first, claim.second} <= names
        assert claim.first != claim.second
