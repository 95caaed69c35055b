"""Retrieval over a ``.npy`` of embeddings and one of labels: any embedder, no model needed."""

from pathlib import Path
from typing import Any

import numpy as np

from openmofi.errors import InputError
from openmofi.evaluation.bootstrap import Draws, mean_interval
from openmofi.evaluation.metrics import finite
from openmofi.evaluation.retrieval import average_precisions, load_array


def evaluate_arrays(embeddings: Path, labels: Path) -> dict[str, Any]:
    """GPR1200's mAP over two array files, in percent.

    Args:
        embeddings: ``.npy`` of floats [N, D]; rows are L2-normalised here.
        labels: ``.npy`` of integers [N].

    Returns:
        ``map`` (the query counts as a hit of its own list), ``map_leave_one_out`` (it does not;
        null if no query has another image of its class), their 95 % bootstrap intervals (classes
        are drawn, each with all its queries; null for a single class), ``n``, ``dim``,
        ``classes`` and ``queries_without_positive``.

    Raises:
        InputError: A file is missing or is no array, or the arrays do not fit.
    """
    vectors, classes = load_array(embeddings), load_array(labels)
    try:
        scores = average_precisions(vectors, classes)
    except InputError as error:
        raise InputError(f"{embeddings}, {labels}: {error}") from None
    names, groups = np.unique(classes, return_inverse=True)
    result: dict[str, Any] = {}
    for name, column in (("map", scores.ap), ("map_leave_one_out", scores.ap_leave_one_out)):
        interval = mean_interval(100 * column, Draws(), groups)
        result[name] = finite(interval.value)
        result[f"{name}_interval"] = [finite(interval.low), finite(interval.high)]
    return result | {
        "n": len(classes),
        "dim": int(vectors.shape[1]),
        "classes": len(names),
        "queries_without_positive": scores.queries_without_positive,
    }
