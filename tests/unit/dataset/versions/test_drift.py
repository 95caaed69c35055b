"""Distances of score distributions, against loops by hand and scipy."""

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from openmofi.dataset.versions.drift import GRID, compare, histogram, ks, psi


def normal(seed, count, mean=0.3, width=0.05):
    return np.random.default_rng(seed).normal(mean, width, count).astype(np.float32)


def psi_by_hand(old, new):
    """Over scores: a tenth of the old in each group, cut where a step of the grid ends."""
    steps = sorted(np.floor((old.astype(float) + 1) * 1000).astype(int).tolist())
    ends = sorted({steps[math.ceil(len(steps) * k / 10) - 1] for k in range(1, 11)})
    ends = [steps[0] - 1, *ends]
    index = 0.0
    for group in range(len(ends) + 1):
        low = ends[group - 1] if group else -(10**9)
        high = ends[group] if group < len(ends) else 10**9
        shares = []
        for scores in (old, new):
            places = np.floor((scores.astype(float) + 1) * 1000)
            count = sum(1 for place in places if low < place <= high)
            shares.append((count + 0.5) / (len(scores) + 0.5 * (len(ends) + 1)))
        index += (shares[1] - shares[0]) * math.log(shares[1] / shares[0])
    return index, len(ends) + 1


@pytest.mark.parametrize(("mean", "width"), [(0.3, 0.05), (0.33, 0.05), (0.3, 0.1), (0.8, 0.01)])
def test_psi_is_the_sum_over_tenths_of_the_old(mean, width):
    old, new = normal(1, 700), normal(2, 300, mean, width)
    value, groups = psi(histogram(old), histogram(new))
    expected, expected_groups = psi_by_hand(old, new)
    assert groups == expected_groups == 12
    assert value == pytest.approx(expected, abs=1e-12)


def test_psi_of_two_groups_by_hand():
    old, new = np.full(30, 0.3, np.float32), np.full(20, 0.1, np.float32)
    # Below, at and above the one old score: 0.5, 30.5 and 0.5 of 31.5; 20.5, 0.5 and 0.5 of 21.5.
    shares = [(0.5 / 31.5, 20.5 / 21.5), (30.5 / 31.5, 0.5 / 21.5), (0.5 / 31.5, 0.5 / 21.5)]
    expected = sum((q - p) * math.log(q / p) for p, q in shares)
    assert psi(histogram(old), histogram(new)) == (pytest.approx(expected), 3)


def test_equal_scores_do_not_drift():
    scores = histogram(normal(1, 500))
    found = compare(scores, scores)
    assert (found.psi, found.ks) == (0, 0)


@pytest.mark.parametrize("mean", [0.3, 0.32, 0.6])
def test_ks_is_scipys_to_a_step_of_the_grid(mean):
    old, new = normal(1, 4000), normal(2, 1500, mean)
    on_grid = [
        GRID[np.floor((scores.astype(float) + 1) * 1000).astype(int)] for scores in (old, new)
    ]
    found = ks(histogram(old), histogram(new))
    assert found == pytest.approx(ks_2samp(*on_grid).statistic, abs=1e-12)
    step = max(h.max() / h.sum() for h in (histogram(old), histogram(new)))
    assert found == pytest.approx(ks_2samp(old, new).statistic, abs=step)


def test_one_distribution_exceeds_what_chance_gives_one_time_in_a_hundred():
    over = 0
    for seed in range(1000):
        found = compare(histogram(normal(seed, 900)), histogram(normal(10_000 + seed, 300)))
        over += found.psi > found.psi_by_chance
    assert over <= 20  # 10 are expected; more than 20 is one time in 500


def test_a_shift_is_more_than_chance_even_among_few():
    found = compare(histogram(normal(1, 900)), histogram(normal(2, 60, 0.4)))
    assert found.psi > 4 * found.psi_by_chance
    assert (found.old, found.new) == (900, 60)


def test_histograms_add_up_and_keep_what_lies_outside():
    scores = np.array([-1.2, -1, 0, 0.3, 1, 1.00001], np.float32)
    whole = histogram(scores)
    assert (whole == histogram(scores[:3]) + histogram(scores[3:])).all()
    assert (whole[0], whole[-1], whole.sum()) == (2, 2, 6)


def test_nothing_is_compared_with_no_scores():
    none = histogram(np.zeros(0, np.float32))
    assert compare(none, histogram(normal(1, 5))) is None
    assert compare(histogram(normal(1, 5)), none) is None
