"""Retrieval with queries and index apart: mAP and recall, as MOFI measures it on ImageNet.

The queries are not in the index. A query is a hit at K if an image of its class is among the
first K. Equal similarities stand in index order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openmofi.evaluation.retrieval import FloatArray, IntArray, positive_ranks

MAP = "query_index/map"
RECALL = "query_index/r"  # with the cut behind it
WITHOUT_POSITIVE = "query_index/queries_without_positive"
CUTS = (1, 5)

_BLOCK_BYTES = 64 << 20  # similarities held at once


@dataclass(frozen=True)
class QueryScores:
    """What each query found, 0 to 1; NaN where the index holds nothing of its class.

    Attributes:
        columns: `MAP` and `RECALL` at each cut, [Q] each.
        without_positive: Queries that could not be judged.
    """

    columns: dict[str, npt.NDArray[np.float64]]
    without_positive: int


def search(
    queries: FloatArray, query_labels: IntArray, index: FloatArray, index_labels: IntArray
) -> QueryScores:
    """Rank the whole index for every query.

    Args:
        queries: [Q, D] of unit length.
        query_labels: [Q] class of each.
        index: [I, D] of unit length.
        index_labels: [I] class of each.
    """
    first = np.empty(len(queries))  # rank of the first image of the class
    precision = np.empty(len(queries))
    members = {label: np.flatnonzero(index_labels == label) for label in np.unique(query_labels)}
    size = max(1, _BLOCK_BYTES // (4 * len(index)))
    for start in range(0, len(queries), size):
        for query, row in enumerate(queries[start : start + size] @ index.T, start=start):
            positives = members[query_labels[query]]
            if not len(positives):
                first[query] = precision[query] = np.nan
                continue
            found = np.sort(positive_ranks(row, positives))
            first[query] = found[0]
            precision[query] = np.mean(np.arange(1, len(found) + 1) / found)
    unjudged = np.isnan(first)
    columns = {MAP: precision}
    for cut in CUTS:
        columns[f"{RECALL}{cut}"] = np.where(unjudged, np.nan, first <= cut)
    return QueryScores(columns, int(unjudged.sum()))
