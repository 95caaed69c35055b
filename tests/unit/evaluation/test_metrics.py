import numpy as np
import pytest

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
