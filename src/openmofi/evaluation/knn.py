"""Weighted k-nearest-neighbour classification on frozen vectors, as DINO measures it.

Each of the k training images nearest by cosine votes for its class with weight
exp(cosine / temperature). k and temperature are fixed beforehand: choosing the best of several on
the test images would tune on them. Source: Caron et al., DINO (ICCV 2021), after Wu et al. (2018).
"""

import numpy as np

from openmofi.evaluation.retrieval import FloatArray, IntArray

TOP1 = "knn/top1"

_BLOCK_BYTES = 64 << 20  # similarities held at once


def knn_predict(
    train: FloatArray,
    train_labels: IntArray,
    queries: FloatArray,
    *,
    neighbours: int,
    temperature: float,
) -> IntArray:
    """The class [Q] with the most votes; the smaller of equal ones.

    Args:
        train: [T, D] of unit length.
        train_labels: [T] class of each.
        queries: [Q, D] of unit length.
        neighbours: k; at most T of them vote. Equal similarities stand in index order.
        temperature: Of the votes' weights.
    """
    wanted = min(neighbours, len(train))
    classes, voted = np.unique(train_labels, return_inverse=True)
    predicted = np.empty(len(queries), dtype=np.int64)
    size = max(1, _BLOCK_BYTES // (4 * len(train)))
    for start in range(0, len(queries), size):
        block = queries[start : start + size] @ train.T
        for query, row in enumerate(block, start=start):
            nearest = nearest_first(row, wanted)
            # Less the greatest, so that no temperature overflows: the order of votes is the same.
            weights = np.exp((row[nearest].astype(np.float64) - row[nearest].max()) / temperature)
            votes = np.bincount(voted[nearest], weights=weights, minlength=len(classes))
            predicted[query] = classes[np.argmax(votes)]
    return predicted


def nearest_first(row: FloatArray, wanted: int) -> IntArray:
    """Indices of the greatest values of ``row`` [T], equal ones by index; not sorted by value."""
    least = np.partition(row, -wanted)[-wanted]
    above = np.flatnonzero(row > least)
    level = np.flatnonzero(row == least)[: wanted - len(above)]
    return np.concatenate([above, level])
