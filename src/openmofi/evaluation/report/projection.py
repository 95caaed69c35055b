"""Embeddings on a plane: what lies near what, coloured by entity.

t-SNE with a fixed seed where scikit-learn is installed, else the first two principal components.
t-SNE keeps neighbours together and nothing else: distances between groups, and their sizes, say
nothing. The page says which one it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.evaluation.report.measured import Measured
from openmofi.evaluation.retrieval import FloatArray, IntArray
from openmofi.evaluation.suites import Bench

_MOST_POINTS = 1000
_MOST_MODELS = 2  # the candidate and the next one
_LEAST_FOR_TSNE = 8  # perplexity needs neighbours
_SEED = 0

Points = npt.NDArray[np.float64]
Facts = dict[str, Any]


def map_facts(
    bench: Bench, models: Sequence[Measured], vectors: Mapping[str, FloatArray]
) -> list[Facts]:
    """A map for each of the first models.

    Returns:
        ``role``, ``method`` (``t-SNE`` or ``PCA``), ``kept`` (share of the variance that PCA
        shows, else null), ``classes`` (names) and ``points``: [x, y, place in ``classes``], x and
        y within 0 and 1. No map for a set of one class, such as pictures with captions.
    """
    labels = bench.images.labels
    if len(np.unique(labels)) < 2:
        return []
    chosen = spread_over_classes(labels, _MOST_POINTS)
    present, places = np.unique(labels[chosen], return_inverse=True)
    names = [bench.images.class_names[i] for i in present]
    facts = []
    for model in models[:_MOST_MODELS]:
        method, kept, points = project(vectors[model.role][chosen])
        rows = [
            [round(float(x), 3), round(float(y), 3), int(place)]
            for (x, y), place in zip(points, places, strict=True)
        ]
        facts.append(
            {"role": model.role, "method": method, "kept": kept, "classes": names, "points": rows}
        )
    return facts


def spread_over_classes(labels: IntArray, wanted: int) -> IntArray:
    """At most ``wanted`` indices, each class with its share of them; ascending."""
    order = np.argsort(labels, kind="stable")
    places = np.linspace(0, len(order) - 1, min(wanted, len(order))).round().astype(np.int64)
    chosen: IntArray = np.unique(order[places])
    return chosen


def project(vectors: FloatArray) -> tuple[str, float | None, Points]:
    """Method, share of variance and points [N, 2] within 0 and 1, x and y on one scale."""
    if len(vectors) >= _LEAST_FOR_TSNE:
        points = _tsne(vectors)
        if points is not None:
            return "t-SNE", None, _within(points)
    points, kept = principal_components(vectors)
    return "PCA", kept, _within(points)


def principal_components(vectors: FloatArray) -> tuple[Points, float]:
    """The first two components [N, 2] and their share of the variance, 0 to 1.

    Signs are fixed: of each axis, the loading of the largest size is positive.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    first = axes[:2]
    signs = np.sign(first[np.arange(len(first)), np.abs(first).argmax(axis=1)])
    points = np.zeros((len(vectors), 2))
    points[:, : len(first)] = centred @ (first * signs[:, None]).T
    total = float((sizes**2).sum())
    return points, float((sizes[:2] ** 2).sum()) / total if total else 1.0


def _tsne(vectors: FloatArray) -> Points | None:
    try:
        from sklearn.manifold import TSNE  # type: ignore[import-untyped]
    except ImportError:
        return None
    start, _ = principal_components(vectors)
    spread = start[:, 0].std()
    if not spread:  # all in one place
        return None
    found: Points = TSNE(
        init=(1e-4 * start / spread).astype(np.float32),  # as scikit-learn scales its own PCA
        perplexity=min(30.0, (len(vectors) - 1) / 3),
        random_state=_SEED,
        n_jobs=1,
    ).fit_transform(vectors)
    return found


def _within(points: Points) -> Points:
    low = points.min(axis=0)
    span = float((points.max(axis=0) - low).max())
    scaled: Points = (points - low) / span if span else points * 0 + 0.5
    return scaled
