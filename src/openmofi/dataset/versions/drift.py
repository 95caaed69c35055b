"""How far two sets of scores lie apart, from histograms that add up shard by shard."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

GRID = np.linspace(-1, 1, 2001)  # cosines, in steps of a thousandth
_TENTHS = np.arange(1, 11) / 10
_SMOOTHING = 0.5  # of a score, added to every group: one that is empty would be infinitely far
_CHANCE = 0.01

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drift:
    """Two sets of scores against each other.

    Args:
        old: Scores in the first set.
        new: Scores in the second.
        psi: Population stability index, see `psi`; 0 for equal shares.
        psi_by_chance: What two samples of one distribution, as large as these, exceed one time in
            a hundred.
        ks: Largest distance of the two distribution functions, 0 to 1.
    """

    old: int
    new: int
    psi: float
    psi_by_chance: float
    ks: float


def histogram(scores: npt.NDArray[np.float32]) -> Counts:
    """Counts by `GRID`, ``int64[2000]``; what lies outside counts at its ends."""
    return cast("Counts", np.histogram(np.clip(scores, -1, 1), GRID)[0])


def compare(old: Counts, new: Counts) -> Drift | None:
    """Compare two histograms; None if one is empty."""
    if not old.sum() or not new.sum():
        return None
    value, groups = psi(old, new)
    # Under one distribution PSI / (1/n + 1/m) is about chi-squared with groups - 1 degrees of
    # freedom (Yurdakul and Naranjo 2020), with large counts in every group.
    chance = chdtri(groups - 1, _CHANCE) * (1 / old.sum() + 1 / new.sum())
    return Drift(int(old.sum()), int(new.sum()), value, float(chance), ks(old, new))


def psi(old: Counts, new: Counts) -> tuple[float, int]:
    """Population stability index: the sum of (q - p) ln(q / p) over groups of scores.

    p and q are the shares of the old and the new scores. Every group holds about a tenth of the
    old, as far as the grid lets it; two more take what lies below and above all of them. Half a
    score is added to every group.

    Returns:
        The index, and how many groups there were.
    """
    cuts = _cuts(old)
    group = np.searchsorted(cuts, np.arange(len(old)), side="left")
    groups = len(cuts) + 1
    p, q = (_shares(np.bincount(group, weights=counts, minlength=groups)) for counts in (old, new))
    return float(((q - p) * np.log(q / p)).sum()), groups


def ks(old: Counts, new: Counts) -> float:
    """Kolmogorov and Smirnov's distance, off by no more than the share of one step of the grid."""
    below = np.cumsum(old) / old.sum() - np.cumsum(new) / new.sum()
    return float(np.abs(below).max())


def _cuts(old: Counts) -> npt.NDArray[np.int64]:
    """The last step of the grid in every group but the one above all old scores."""
    below = np.cumsum(old)
    first = int(np.searchsorted(below, 0, side="right"))
    ends = np.searchsorted(below, np.ceil(_TENTHS * below[-1]), side="left")
    return cast("npt.NDArray[np.int64]", np.unique([first - 1, *ends]))


def _shares(counts: npt.NDArray[np.float64] | Counts) -> npt.NDArray[np.float64]:
    smoothed = counts + _SMOOTHING
    return cast("npt.NDArray[np.float64]", smoothed / smoothed.sum())
