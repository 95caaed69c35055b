"""Embeddings for benchmarks/assembly_data.py: as many as wanted, only planted ones near each other.

Vectors lie around 2,000 centres at a cosine of 0.6 to each other, where nothing but a copy comes
near `COSINE`. Hard ones are in benchmarks/duplicates.py.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.records import image_embeddings_schema

Numbers = npt.NDArray[np.int64]

COSINE = 0.95  # from which vectors should count as the same; copies keep 0.005 off it
_CENTRES = 2000


class Vectors:
    """Embeddings by row, in a file that earlier ones are read from again."""

    def __init__(self, rows: int, dim: int, path: Path) -> None:
        self._all = np.memmap(path, np.float16, "w+", shape=(rows, dim))
        self._centres = _unit(np.random.default_rng(0).normal(size=(_CENTRES, dim)))

    def table(self, numbers: Numbers, causes: npt.NDArray[np.str_], sources: Numbers) -> pa.Table:
        random = np.random.default_rng([1, int(numbers[0])])
        aside = _unit(random.normal(size=(len(numbers), self._all.shape[1])))
        centres = self._centres[random.integers(0, _CENTRES, len(numbers))]
        vectors = _unit(0.6**0.5 * centres + 0.4**0.5 * aside)  # cosine 0.6 around a centre
        self._all[numbers[0] : numbers[-1] + 1] = vectors.astype(np.float16)
        for cause in ("duplicate_exact", "duplicate_embedding"):
            rows = np.flatnonzero(causes == cause)
            vectors[rows] = self._all[sources[rows]]
            if cause == "duplicate_embedding":
                near = random.uniform(COSINE + 0.005, 1, len(rows))[:, None]
                kept = _unit(vectors[rows])
                other = aside[rows] - (aside[rows] * kept).sum(axis=1, keepdims=True) * kept
                vectors[rows] = near * kept + np.sqrt(1 - near**2) * _unit(other)
        values = vectors.astype(np.float16)
        self._all[numbers[0] : numbers[-1] + 1] = values
        dim = values.shape[1]
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), dim)
        arrays = [flat, pa.array(["ok"] * len(numbers))]
        return pa.Table.from_arrays(arrays, schema=image_embeddings_schema(dim))


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
