import numpy as np
import pytest

from openmofi.evaluation import query_index
from openmofi.evaluation.query_index import search
from openmofi.evaluation.retrieval import unit_rows


def loop_search(query, label, index, labels):
    """Sort stably, walk down: AP, and the rank of the first hit."""
    order = np.argsort(-(index @ query), kind="stable")
    ranks = [rank for rank, i in enumerate(order, start=1) if labels[i] == label]
    if not ranks:
        return float("nan"), float("nan")
    return np.mean([(i + 1) / rank for i, rank in enumerate(ranks)]), ranks[0]


def test_every_query_equals_the_loop():
    rng = np.random.default_rng(0)
    labels, query_labels = rng.integers(0, 5, 60), rng.integers(0, 6, 25)
    index, queries = (unit_rows(rng.standard_normal((n, 4))) for n in (60, 25))
    found = search(queries, query_labels, index, labels)
    expected = [
        loop_search(q, c, index, labels) for q, c in zip(queries, query_labels, strict=True)
    ]
    precision, first = np.array(expected).T
    np.testing.assert_allclose(found.columns["query_index/map"], precision, rtol=1e-12)
    for cut in (1, 5):
        hits = np.where(np.isnan(first), np.nan, first <= cut)
        np.testing.assert_array_equal(found.columns[f"query_index/r{cut}"], hits)
    assert found.without_positive == (query_labels == 5).sum() > 0


def test_the_query_is_no_hit_of_its_own():
    vectors = np.eye(2, dtype=np.float32)
    found = search(vectors[:1], np.array([0]), vectors[1:], np.array([0]))
    assert found.columns["query_index/map"].tolist() == [1]
    apart = search(vectors[:1], np.array([0]), vectors[1:], np.array([1]))
    assert np.isnan(apart.columns["query_index/map"]).all()
    assert apart.without_positive == 1


def test_ties_stand_in_index_order():
    index = np.array([[1, 0]] * 3, np.float32)
    found = search(index[:1], np.array([7]), index, np.array([1, 1, 7]))
    assert found.columns["query_index/map"].tolist() == [pytest.approx(1 / 3)]
    assert found.columns["query_index/r1"].tolist() == [0]
    assert found.columns["query_index/r5"].tolist() == [1]


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(1)
    index, queries = (unit_rows(rng.standard_normal((n, 4))) for n in (40, 20))
    labels, query_labels = np.arange(40) % 4, np.arange(20) % 4
    whole = search(queries, query_labels, index, labels)
    monkeypatch.setattr(query_index, "_BLOCK_BYTES", 4 * 40 * 3)
    parts = search(queries, query_labels, index, labels)
    for name, column in whole.columns.items():
        np.testing.assert_array_equal(column, parts.columns[name])


def test_no_query_at_all_is_no_error():
    found = search(np.empty((0, 2), np.float32), np.empty(0, int), np.eye(2, dtype=np.float32),
                   np.arange(2))  # fmt: skip
    assert [len(column) for column in found.columns.values()] == [0, 0, 0]
