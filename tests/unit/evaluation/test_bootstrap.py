import numpy as np
import pytest

from openmofi.evaluation.bootstrap import (
    Draws,
    mean_interval,
    paired_difference,
    resampled_means,
)


def test_means_are_those_of_the_drawn_queries():
    values = np.random.default_rng(0).random((23, 2))
    draws = Draws(samples=150, seed=7)
    rng = np.random.default_rng(7)
    expected = [values[rng.integers(23, size=23)].mean(axis=0) for _ in range(150)]
    np.testing.assert_allclose(resampled_means(values, draws), expected)


def test_the_interval_is_the_percentiles_of_the_means():
    values = np.random.default_rng(1).random(40)
    draws = Draws(samples=400, confidence=0.9, seed=3)
    means = resampled_means(values[:, None], draws)[:, 0]
    found = mean_interval(values, draws)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [5, 95])))


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        found = mean_interval(rng.normal(5, 2, 60), Draws(samples=200))
        held += found.low <= 5 <= found.high
    assert 176 <= held <= 198  # 95 % of 200, and a percentile interval is a little narrow


def test_pairing_sees_a_small_steady_difference_that_the_single_intervals_hide():
    rng = np.random.default_rng(3)
    hard = rng.random(300)  # most of the spread is the queries' own
    first, second = hard + 0.02, hard + rng.normal(0, 0.01, 300)
    draws = Draws(samples=300)
    one, other = mean_interval(first, draws), mean_interval(second, draws)
    assert one.low < other.high
    assert paired_difference(first, second, draws).low > 0


def test_queries_that_could_not_be_judged_do_not_count():
    values = np.array([1.0, np.nan, 3.0, np.nan])
    found = mean_interval(values, Draws(samples=100))
    assert (found.value, found.queries) == (2.0, 2)
    assert 1 <= found.low <= found.high <= 3
    assert np.isnan(mean_interval(np.full(4, np.nan), Draws(samples=100)).value)
