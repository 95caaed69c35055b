"""Shares and their intervals against what is slow and obvious."""

import math

import numpy as np
import pytest

from openmofi.labeling.quality.judged import Judged, lower_bound
from support.label_quality import judged_of


def slow_lower_bound(hits: int, size: int, confidence: float) -> float:
    """The proportion at which so many hits or more are as likely as 1 - confidence."""

    def as_many(p: float) -> float:
        return sum(math.comb(size, k) * p**k * (1 - p) ** (size - k) for k in range(hits, size + 1))

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if as_many(middle) < 1 - confidence else (low, middle)
    return low


@pytest.mark.parametrize(("hits", "size"), [(0, 5), (1, 5), (5, 5), (38, 40), (59, 59)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.975])
def test_the_bound_is_where_the_binomial_says(hits: int, size: int, confidence: float) -> None:
    wanted = slow_lower_bound(hits, size, confidence)
    assert lower_bound(hits, size, confidence) == pytest.approx(wanted, abs=1e-9)


def test_plain_pairs_get_the_exact_interval() -> None:
    judged = judged_of(np.linspace(0, 1, 50), [True] * 38 + [False] * 2 + [True] * 10)
    found = judged.precision(judged.scores[10])  # 40 kept, 38 of them right
    assert found.estimate == pytest.approx(38 / 40)
    assert found.low == pytest.approx(slow_lower_bound(38, 40, 0.975), abs=1e-9)
    assert found.high == pytest.approx(1 - slow_lower_bound(2, 40, 0.975), abs=1e-9)


def test_a_cut_keeps_its_own_score() -> None:
    assert judged_of([0.1, 0.2, 0.3], [True] * 3).kept(0.2).tolist() == [False, True, True]


def test_recall_is_the_share_of_right_pairs_that_are_kept() -> None:
    judged = judged_of([0.1, 0.2, 0.3, 0.4], [True, False, True, True])
    assert judged.recall(0.2).estimate == pytest.approx(2 / 3)


def test_f1_is_the_harmonic_mean() -> None:
    judged = judged_of([0.1, 0.2, 0.3, 0.4], [True, False, True, True])
    precision, recall = judged.precision(0.2).estimate, judged.recall(0.2).estimate
    found = judged.f1(0.2)
    assert found.estimate == pytest.approx(2 * precision * recall / (precision + recall))
    assert 0 < found.low < found.estimate < found.high < 1


def test_weights_say_how_many_images_a_pair_stands_for() -> None:
    judged = judged_of([0.5] * 3, [True, False, False], weights=[6, 1, 1])
    assert judged.precision(0).estimate == pytest.approx(6 / 8)


def test_nothing_kept_is_no_precision_and_any() -> None:
    found = judged_of([0.1, 0.2], [True, False]).precision(0.9)
    assert (found.estimate, found.low, found.high) == (0, 0, 1)


def slow_variance(judged: Judged, cut: float) -> float:
    """Of the precision, by linearisation, one image after the other."""
    share = judged.precision(cut).estimate
    kept = [place for place, score in enumerate(judged.scores) if score >= cut]
    whole = sum(judged.weights[place] for place in kept)
    sums = [0.0] * len(judged.strata)
    for place in kept:
        sums[judged.images[place]] += judged.weights[place] * (judged.right[place] - share) / whole
    variance = 0.0
    for stratum in set(judged.strata.tolist()):
        inside = [one for one, of in zip(sums, judged.strata, strict=True) if of == stratum]
        mean = sum(inside) / len(inside)
        variance += sum((one - mean) ** 2 for one in inside) * len(inside) / (len(inside) - 1)
    return variance * (len(sums) - 1) / len(sums)


def test_the_interval_is_that_of_as_many_independent_pairs_as_the_variance_says() -> None:
    rng = np.random.default_rng(1)
    images = np.repeat(np.arange(400), rng.integers(1, 4, 400))
    strata = rng.integers(0, 3, 400)
    weights = np.array([1.0, 2.0, 5.0])[strata][images]
    chance = np.array([0.95, 0.6, 0.4])[strata] - 0.2 * (rng.random(400) < 0.5)
    right = rng.random(len(images)) < chance[images]
    judged = judged_of(
        rng.random(len(images)), right, images=images, weights=weights, strata=strata
    )
    share, variance = judged.precision(0.2).estimate, slow_variance(judged, 0.2)
    size = share * (1 - share) / variance
    found = judged.precision(0.2)
    assert size < 0.8 * judged.kept(0.2).sum()
    # Within a few thousandths: what the degrees of freedom cost is not in the slow one.
    assert found.low == pytest.approx(lower_bound(share * size, size, 0.975), abs=2e-3)
    assert found.high == pytest.approx(1 - lower_bound((1 - share) * size, size, 0.975), abs=2e-3)


def test_pairs_of_one_image_that_agree_count_as_one() -> None:
    apart = judged_of(np.full(90, 0.5), [True] * 90)
    together = judged_of(np.full(90, 0.5), [True] * 90, images=np.repeat(np.arange(30), 3))
    thirty = judged_of(np.full(30, 0.5), [True] * 30)
    assert together.precision(0).low == pytest.approx(thirty.precision(0).low, abs=0.01)
    assert apart.precision(0).low > together.precision(0).low + 0.05


def test_an_effective_size_never_exceeds_the_pairs() -> None:
    # Strata that explain all: within each, all are right or all are wrong but one.
    right = [True] * 49 + [False] + [False] * 49 + [True]
    judged = judged_of(np.full(100, 0.5), right, strata=[0] * 50 + [1] * 50)
    plain = judged_of(np.full(100, 0.5), right)
    assert judged.precision(0).low == pytest.approx(plain.precision(0).low, abs=1e-3)


def test_few_images_widen_the_interval_by_their_degrees_of_freedom() -> None:
    images = np.repeat(np.arange(4), 25)
    right = np.random.default_rng(0).random(100) < 0.8
    few = judged_of(np.full(100, 0.5), right, images=images)
    apart = judged_of(np.full(100, 0.5), right)
    assert few.precision(0).low < apart.precision(0).low - 0.02


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_the_bound_holds_however_alike_the_pairs_of_an_image_are(alike: float) -> None:
    rng, missed, draws = np.random.default_rng(0), 0, 400
    for _ in range(draws):
        images = np.repeat(np.arange(120), rng.integers(1, 4, 120))
        shared = (rng.random(120) < 0.9)[images]
        right = np.where(rng.random(len(images)) < alike, shared, rng.random(len(images)) < 0.9)
        judged = judged_of(np.full(len(images), 0.5), right, images=images)
        missed += judged.least_precision(judged.kept(0), 0.95) > 0.9
    assert missed / draws < 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
    assert missed  # not just wide


def test_a_lone_image_of_a_stratum_is_held_against_the_whole() -> None:
    # Twenty right ones of weight 1, and a wrong one of weight 5 that is a stratum of its own.
    right, weights = [True] * 20 + [False], [1.0] * 20 + [5.0]
    judged = judged_of([0.5] * 21, right, weights=weights, strata=[0] * 20 + [1])
    variance = (5 * 0.8 / 25) ** 2 * 20 / 21
    size = 0.8 * 0.2 / variance
    assert judged.precision(0).low == pytest.approx(lower_bound(0.8 * size, size, 0.975), abs=5e-3)
