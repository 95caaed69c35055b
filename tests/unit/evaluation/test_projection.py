import builtins

import numpy as np
import pytest

from openmofi.evaluation.report.projection import (
    principal_components,
    project,
    spread_over_classes,
)
from openmofi.evaluation.retrieval import unit_rows


def groups_of_three(images=30, dim=16):
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 3
    vectors = rng.normal(0, 0.05, (images, dim)) + 3 * np.eye(3, dim)[labels]
    return unit_rows(vectors.astype(np.float32)), labels


@pytest.fixture
def without_scikit_learn(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **named):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_components_are_the_covariances_eigenvectors():
    vectors, _ = groups_of_three()
    values, axes = np.linalg.eigh(np.cov(vectors.T.astype(float)))
    points, kept = principal_components(vectors)
    centred = vectors - vectors.mean(axis=0)
    np.testing.assert_allclose(np.abs(points[:, 0]), np.abs(centred @ axes[:, -1]), atol=1e-5)
    np.testing.assert_allclose(np.abs(points[:, 1]), np.abs(centred @ axes[:, -2]), atol=1e-5)
    assert kept == pytest.approx(values[-2:].sum() / values.sum())


def test_signs_are_fixed():
    vectors, _ = groups_of_three()
    points, _ = principal_components(vectors)
    mirrored, _ = principal_components(-vectors)
    np.testing.assert_allclose(points, -mirrored, atol=1e-6)  # same axes, mirrored data


@pytest.mark.parametrize(
    "vectors", [np.ones((1, 4)), np.ones((5, 4)), np.ones((4, 1)), np.eye(2), np.ones((20, 3))]
)
def test_few_points_equal_ones_and_one_dimension_have_a_map(vectors):
    _, _, points = project(unit_rows(vectors.astype(np.float32)))
    assert points.shape == (len(vectors), 2)
    assert np.isfinite(points).all()
    assert 0 <= points.min() <= points.max() <= 1


def test_without_scikit_learn_it_is_pca_and_says_how_much_it_keeps(without_scikit_learn):
    vectors, _ = groups_of_three()
    method, kept, points = project(vectors)
    assert method == "PCA"
    assert kept > 0.9
    assert points.min() == 0
    assert points.max() == 1


def test_neighbours_stay_neighbours_and_the_map_is_the_same_again():
    pytest.importorskip("sklearn")
    vectors, labels = groups_of_three(60)
    method, kept, points = project(vectors)
    assert (method, kept) == ("t-SNE", None)
    np.testing.assert_array_equal(points, project(vectors)[2])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.95


def test_each_class_keeps_its_share_of_the_points():
    labels = np.repeat([2, 0, 1], [600, 300, 100])
    chosen = spread_over_classes(labels, 100)
    assert len(chosen) == 100
    assert np.bincount(labels[chosen]).tolist() == pytest.approx([30, 10, 60], abs=1)
    assert spread_over_classes(labels[:7], 100).tolist() == list(range(7))
