import math

import numpy as np
import pytest

from openmofi.evaluation import knn
from openmofi.evaluation.knn import knn_predict, nearest_first
from openmofi.evaluation.retrieval import unit_rows


def loop_vote(train, labels, query, k, temperature):
    """The protocol read aloud: sort stably, let the first k vote, first of the best classes."""
    similarities = train @ query
    order = sorted(range(len(train)), key=lambda i: (-similarities[i], i))[:k]
    votes = {}
    for i in order:
        votes[labels[i]] = votes.get(labels[i], 0) + math.exp(similarities[i] / temperature)
    return min(votes, key=lambda label: (-votes[label], label))


def test_votes_equal_the_loop():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 80)
    train = unit_rows(rng.standard_normal((80, 5)))
    queries = unit_rows(rng.standard_normal((40, 5)))
    for k, temperature in ((1, 0.07), (7, 0.07), (20, 1.0)):
        expected = [loop_vote(train, labels, query, k, temperature) for query in queries]
        found = knn_predict(train, labels, queries, neighbours=k, temperature=temperature)
        assert found.tolist() == expected


def test_near_neighbours_outvote_a_distant_majority_at_a_low_temperature_only():
    angles = np.array([0.0, 0.9, 0.9, 0.9])
    train = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([0, 1, 1, 1])
    query = np.array([[1, 0]], np.float32)
    assert knn_predict(train, labels, query, neighbours=4, temperature=0.07).tolist() == [0]
    assert knn_predict(train, labels, query, neighbours=4, temperature=10).tolist() == [1]


def test_equal_neighbours_stand_in_index_order():
    row = np.array([0.5, 0.9, 0.5, 0.5, 0.1], np.float32)
    assert sorted(nearest_first(row, 3).tolist()) == [0, 1, 2]
    train = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    found = knn_predict(
        train, np.array([4, 2, 2]), np.array([[1, 0]], np.float32), neighbours=1, temperature=0.07
    )
    assert found.tolist() == [4]


def test_fewer_images_than_neighbours_all_vote_and_a_tiny_temperature_does_not_overflow():
    train = np.array([[0.8, 0.6], [1, 0]], np.float32)
    found = knn_predict(train, np.array([-3, 9]), train[1:], neighbours=50, temperature=1e-4)
    assert found.tolist() == [9]


def test_one_class_is_always_named():
    train = unit_rows(np.random.default_rng(1).standard_normal((4, 3)))
    found = knn_predict(train, np.full(4, 7), train, neighbours=2, temperature=0.07)
    assert found.tolist() == [7] * 4


def test_blocks_do_not_change_the_votes(monkeypatch):
    rng = np.random.default_rng(2)
    train, queries = (unit_rows(rng.standard_normal((n, 4))) for n in (30, 25))
    labels = rng.integers(0, 4, 30)
    options = {"neighbours": 5, "temperature": 0.1}
    whole = knn_predict(train, labels, queries, **options)
    monkeypatch.setattr(knn, "_BLOCK_BYTES", 4 * 30 * 7)
    np.testing.assert_array_equal(whole, knn_predict(train, labels, queries, **options))


@pytest.mark.parametrize("wanted", [1, 3, 5])
def test_nearest_first_takes_what_a_stable_sort_takes(wanted):
    row = np.random.default_rng(3).integers(0, 3, 5).astype(np.float32)
    expected = sorted(np.argsort(-row, kind="stable")[:wanted].tolist())
    assert sorted(nearest_first(row, wanted).tolist()) == expected
