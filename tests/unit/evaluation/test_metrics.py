import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.evaluation import metrics
from openmofi.evaluation.bootstrap import Draws

DRAWS = Draws(samples=200)


def test_retention_is_the_ratio_of_the_means_in_percent():
    columns = {metrics.CLEAN: np.array([1.0, 1, 1, 0]), metrics.ATTACKED: np.array([1.0, 0, 0, 0])}
    found = metrics.summarise(columns, DRAWS)
    assert found[metrics.CLEAN].value == 75
    assert found[metrics.RETENTION].value == pytest.approx(100 / 3)
    assert 0 <= found[metrics.RETENTION].low <= found[metrics.RETENTION].high <= 100


def test_retention_of_a_model_that_is_never_right_is_undefined():
    columns = {metrics.CLEAN: np.zeros(4), metrics.ATTACKED: np.zeros(4)}
    found = metrics.summarise(columns, DRAWS)
    assert metrics.RETENTION not in metrics.values(found)
    assert metrics.plain(found)[metrics.RETENTION]["value"] is None


def test_a_model_compared_with_itself_differs_by_nothing():
    columns = {metrics.RETRIEVAL: np.random.default_rng(0).random(50)}
    found = metrics.compare(columns, columns, DRAWS)[metrics.RETRIEVAL]
    assert (found.value, found.low, found.high, found.noise) == (0, 0, 0, True)


def test_a_clear_difference_is_no_noise_and_has_its_sign():
    worse = np.random.default_rng(0).random(200) / 2
    found = metrics.compare({metrics.RETRIEVAL: worse}, {metrics.RETRIEVAL: worse + 0.1}, DRAWS)[
        metrics.RETRIEVAL
    ]
    assert found.value == pytest.approx(-10)
    assert not found.noise


def test_only_metrics_of_both_models_are_compared():
    both, one = np.ones(3), {metrics.ZERO_SHOT: np.ones(3)}
    found = metrics.compare({metrics.RETRIEVAL: both, **one}, {metrics.RETRIEVAL: both}, DRAWS)
    assert set(found) == {metrics.RETRIEVAL}


def test_domain_means_are_over_the_domains_queries():
    columns = {metrics.RETRIEVAL: np.array([0.2, 0.4, 1.0, 0.6])}
    labels = np.array([0, 0, 1, 2])
    found = metrics.by_domain(columns, labels, ["Land marks", "Sea", ""])
    means = {name: np.nanmean(column) for name, column in found.items()}
    assert means == pytest.approx({"retrieval/map/land_marks": 0.3, "retrieval/map/sea": 1.0})


def test_class_means_leave_out_unjudged_queries_and_empty_classes():
    column = np.array([0.5, np.nan, 1.0])
    means = metrics.by_class(column, np.array([0, 0, 2]), 3)
    np.testing.assert_array_equal(means, [0.5, np.nan, 1.0])


@pytest.mark.parametrize(
    ("low", "high", "noise"),
    [(0.1, 2, False), (-2, -0.1, False), (0, 2, True), (-2, 0, True), (-1, 2, True)],
)
def test_a_difference_is_noise_if_its_interval_holds_zero(low, high, noise):
    assert metrics.Difference((low + high) / 2, low, high, 9).noise is noise


def test_a_difference_without_bounds_is_noise():
    one_class = np.zeros(4, int)
    found = metrics.compare(
        {metrics.RETRIEVAL: np.ones(4)}, {metrics.RETRIEVAL: np.zeros(4)}, DRAWS, one_class
    )[metrics.RETRIEVAL]
    assert (found.value, found.noise) == (100, True)
    assert np.isnan([found.low, found.high]).all()


def test_a_difference_that_two_classes_make_is_noise_by_class_and_none_by_query():
    """Two classes of twenty got better, and with them sixty queries of six hundred."""
    labels = np.repeat(np.arange(20), 30)
    before, after = np.zeros(600), (labels < 2).astype(float)
    after[labels == 2], before[labels == 2] = 0.0, 0.5  # and one got worse
    columns = ({metrics.RETRIEVAL: after}, {metrics.RETRIEVAL: before})
    assert not metrics.compare(*columns, DRAWS)[metrics.RETRIEVAL].noise
    assert metrics.compare(*columns, DRAWS, labels)[metrics.RETRIEVAL].noise


def test_pairs_are_drawn_together_in_ratios_and_classes():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(8), 5)
    first, second = (
        {metrics.CLEAN: rng.random(40), metrics.ATTACKED: rng.random(40)} for _ in range(2)
    )
    draw = np.random.default_rng(DRAWS.seed)
    expected = []
    for _ in range(DRAWS.samples):
        drawn = np.concatenate([np.flatnonzero(labels == c) for c in draw.integers(8, size=8)])
        ratios = [c[metrics.ATTACKED][drawn].sum() / c[metrics.CLEAN][drawn].sum()
                  for c in (first, second)]  # fmt: skip
        expected.append(100 * (ratios[0] - ratios[1]))
    found = metrics.compare(first, second, DRAWS, labels)[metrics.RETENTION]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))


def test_a_query_that_one_model_was_not_judged_on_counts_for_neither():
    first = {metrics.RETRIEVAL: np.array([1.0, np.nan, 0.5, 0.5])}
    second = {metrics.RETRIEVAL: np.array([0.5, 0.0, 0.5, np.nan])}
    found = metrics.compare(first, second, DRAWS)[metrics.RETRIEVAL]
    assert (found.value, found.queries) == (25, 2)


def test_models_on_other_queries_are_not_compared():
    with pytest.raises(InputError, match="retrieval/map: 3 and 4 queries can't be paired"):
        metrics.compare({metrics.RETRIEVAL: np.ones(3)}, {metrics.RETRIEVAL: np.ones(4)}, DRAWS)


def test_suites_of_other_queries_stand_beside_each_other_and_classes_bind_their_own():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(10), 4)
    ours, captions = np.repeat(rng.random(10), 4), rng.random(70)
    together = metrics.summarise({"a/x": ours, "b/x": captions}, DRAWS, labels)
    assert together["a/x"] == metrics.summarise({"a/x": ours}, DRAWS, labels)["a/x"]
    assert together["b/x"] == metrics.summarise({"b/x": captions}, DRAWS)["b/x"]
    by_query = metrics.summarise({"a/x": ours}, DRAWS)["a/x"]
    wide, narrow = (i.high - i.low for i in (together["a/x"], by_query))
    assert wide == pytest.approx(2 * narrow, rel=0.3)  # four alike queries are worth one


def test_the_headline_leaves_out_the_parts_of_a_metric():
    names = ["knn/top1", "retrieval/map/land", metrics.ZERO_SHOT]
    names += ["image_text/a/r1", "retrieval/map"]
    assert metrics.headline(names) == [
        "retrieval/map", metrics.ZERO_SHOT, "knn/top1", "image_text/a/r1",
    ]  # fmt: skip
