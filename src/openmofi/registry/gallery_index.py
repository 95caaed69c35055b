"""The nearest images of a gallery, by exact cosine.

100,000 vectors of 512 numbers are 200 MB and some milliseconds a query, so there is no index.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.records import from_npy, read_parquet

VECTORS_FILE, ENTRIES_FILE = "vectors.npy", "entries.parquet"
_FIELDS = ("uid", "url", "licence", "entity_id", "name")
_BLOCK = 64  # queries a matrix product, so that scores of a large gallery stay small


class Gallery:
    """Vectors and entries of a folder that `gallery.write_gallery` made; None: an empty one."""

    def __init__(self, folder: Path | None) -> None:
        self._vectors: npt.NDArray[np.float32] | None = None
        if folder is not None:
            vectors = from_npy((folder / VECTORS_FILE).read_bytes()).astype(np.float32)
            # float16 has moved the lengths a little.
            self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            table = read_parquet(folder / ENTRIES_FILE)
            self._entries = [table.column(name).to_pylist() for name in _FIELDS]

    def nearest(self, queries: npt.NDArray[np.float32], count: int) -> list[list[dict[str, Any]]]:
        """The ``count`` nearest images of each query [N, D], best first; ties by their order.

        Each is ``uid``, ``url``, ``licence``, ``entity_id``, ``name`` (empty where unknown) and
        ``score``, the cosine.
        """
        if self._vectors is None or count <= 0:
            return [[] for _ in queries]
        answers = []
        for start in range(0, len(queries), _BLOCK):
            for scores in queries[start : start + _BLOCK] @ self._vectors.T:
                answers.append([self._told(int(i), float(scores[i])) for i in best(scores, count)])
        return answers

    def _told(self, index: int, score: float) -> dict[str, Any]:
        values = (column[index] or "" for column in self._entries)
        return {**dict(zip(_FIELDS, values, strict=True)), "score": score}


def best(scores: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    """Indices of the ``count`` highest of scores [N], highest first; ties by their order."""
    if not 0 < count < len(scores):
        return np.argsort(-scores, kind="stable")[: max(count, 0)]
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    # All that are as high as the last one, of which the sort keeps the first.
    found = np.flatnonzero(scores >= least)
    return found[np.argsort(-scores[found], kind="stable")][:count]
