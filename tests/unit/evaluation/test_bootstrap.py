import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.evaluation import bootstrap
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


GROUPS = np.array([4, 4, 9, 4, 7, 9])


def test_with_groups_whole_groups_are_drawn():
    values = np.random.default_rng(4).random(6)
    members = [np.flatnonzero(name == GROUPS) for name in (4, 7, 9)]
    rng = np.random.default_rng(7)
    expected = []
    for _ in range(150):
        drawn = np.concatenate([members[i] for i in rng.integers(3, size=3)])
        expected.append(values[drawn].mean())
    found = resampled_means(values[:, None], Draws(samples=150, seed=7), GROUPS)[:, 0]
    np.testing.assert_allclose(found, expected)


def test_groups_of_one_query_are_queries():
    values = np.random.default_rng(5).random((30, 2))
    alone = resampled_means(values, Draws(samples=50))
    np.testing.assert_array_equal(alone, resampled_means(values, Draws(samples=50), np.arange(30)))


def test_queries_that_are_right_and_wrong_together_need_groups():
    """Thirty classes of ten: half of the spread is the class's, as if one query in 5.5 were new."""
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(30), 10)
    draws, held = Draws(samples=200), {"queries": 0, "classes": 0}
    for _ in range(200):
        values = 5 + rng.normal(0, 1, 30)[groups] + rng.normal(0, 1, 300)
        for unit, by in (("queries", None), ("classes", groups)):
            found = mean_interval(values, draws, by)
            held[unit] += found.low <= 5 <= found.high
    assert held["queries"] < 140  # it says 95 % and holds the truth in under 70 %
    assert 174 <= held["classes"] <= 198


def test_pairing_holds_within_groups():
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(20), 5)
    hard = rng.normal(0, 1, 20)[groups]
    first, second = hard + 0.05 + rng.normal(0, 0.01, 100), hard + rng.normal(0, 0.01, 100)
    found = paired_difference(first, second, Draws(samples=200), groups)
    assert 0.03 < found.low < found.value < found.high < 0.07


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        (np.array([0.5]), None),
        (np.array([0.5, np.nan, np.nan]), None),
        (np.array([0.1, 0.9, 0.4]), np.zeros(3, int)),
        (np.array([0.1, 0.9, np.nan]), np.array([0, 0, 1])),
    ],
)
def test_one_query_or_one_group_has_a_value_and_no_bounds(values, groups):
    found = mean_interval(values, Draws(samples=100), groups)
    assert found.value == pytest.approx(np.nanmean(values))
    assert np.isnan([found.low, found.high]).all()


def test_no_query_at_all_is_undefined():
    found = mean_interval(np.empty(0), Draws(samples=100))
    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.queries == 0


def test_the_seed_alone_decides_on_the_draws():
    values = np.random.default_rng(9).random(50)
    assert mean_interval(values, Draws(seed=3)) == mean_interval(values, Draws(seed=3))
    assert mean_interval(values, Draws(seed=3)) != mean_interval(values, Draws(seed=4))


def test_draws_in_blocks_are_the_same_draws(monkeypatch):
    values = np.random.default_rng(10).random((40, 3))
    whole = resampled_means(values, Draws(samples=25))
    monkeypatch.setattr(bootstrap, "_BLOCK_CELLS", 4 * 40)
    np.testing.assert_allclose(resampled_means(values, Draws(samples=25)), whole, rtol=1e-14)


def test_what_cannot_be_paired_or_grouped_is_told_in_one_line():
    values = np.ones(3)
    with pytest.raises(InputError, match="3 and 1 queries can't be paired"):
        paired_difference(values, np.ones(1), Draws())
    with pytest.raises(InputError, match="3 queries and 2 groups of them: not one each"):
        mean_interval(values, Draws(), np.zeros(2, int))
