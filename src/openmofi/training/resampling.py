"""Entity-balanced sampling: how often each sample comes in an epoch, by arithmetic."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from openmofi.training.draws import Indices

# Expected repeats are kept in units of 2**-24: integers, so that a place and its row agree exactly.
OFFSET_BITS = 24


class Resampling:
    """Systematic resampling (Madow 1949): places of an epoch, as many as samples, to rows.

    Row ``i`` is expected ``weights[i] · N / sum(weights)`` times an epoch. The expected repeats lie
    end to end on a line of length N, and place ``j`` takes the row under ``j + offset``. So a row
    comes the floor or the ceiling of what is expected of it, and its places stand side by side.

    Args:
        weights: float64[N], above 0; only their ratios count.
    """

    def __init__(self, weights: npt.NDArray[np.float64]) -> None:
        if not len(weights) or not weights.min() > 0:
            raise ValueError("every sample needs a weight above 0")
        self.size = len(weights)
        ends = np.cumsum(weights)
        ends = np.rint(ends * (self.size / ends[-1] * (1 << OFFSET_BITS))).astype(np.int64)
        ends[-1] = self.size << OFFSET_BITS  # beyond 10**8 samples rounding may miss it
        self._bounds = np.concatenate([[0], ends])  # int64[N + 1]: 8 bytes a sample

    def first_places(self, rows: Indices, offset: int) -> Indices:
        """The place where each row would begin; that of row N is N.

        Args:
            rows: 0 … N.
            offset: Of the epoch, 0 … 2**OFFSET_BITS - 1, in units of 2**-OFFSET_BITS.
        """
        places: Indices = -((offset - self._bounds[rows]) >> OFFSET_BITS)  # the ceiling
        return places

    def rows(self, places: Indices, offset: int) -> Indices:
        """The row at each place, 0 … N - 1, of an epoch with this offset."""
        under = (places << OFFSET_BITS) + offset
        return np.searchsorted(self._bounds, under, side="right") - 1


def balanced_weights(
    labels: pa.ChunkedArray, classes: int, power: float
) -> npt.NDArray[np.float64] | None:
    """How often samples should come, so that rare entities come more often; None without change.

    A sample's weight is the mean over its labels of ``count(label) ** -power``. With one label a
    sample and power 1 each entity comes equally often; an image of several entities stands between
    them. A sample without labels has the mean weight of the labelled ones, so the unlabelled keep
    their share of an epoch.

    Args:
        labels: Lists of class indices, a sample each.
        classes: Size of the vocabulary.
        power: 0 (nothing changes) to 1 (each entity equally often).
    """
    flat = compute.list_flatten(labels).to_numpy()
    if power == 0 or not len(flat):
        return None
    lengths = compute.list_value_length(labels).to_numpy()
    # float32 hides what the machines' pow() disagree on, so that all ranks have the same order.
    counts, class_of = np.unique(np.bincount(flat, minlength=classes), return_inverse=True)
    worth = (np.maximum(counts, 1.0) ** -power).astype(np.float32).astype(np.float64)[class_of]
    sums = np.bincount(np.repeat(np.arange(len(labels)), lengths), worth[flat], len(labels))
    weights: npt.NDArray[np.float64] = sums / np.maximum(lengths, 1)
    labelled = lengths > 0
    weights[~labelled] = weights[labelled].mean()
    return weights
