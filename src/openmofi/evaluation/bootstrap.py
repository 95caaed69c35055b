"""Percentile bootstrap over queries: intervals, and paired differences on the same queries.

Queries are drawn with replacement. All columns of one call, and all calls with the same number
of queries and the same seed, see the same draws: that is what pairs two models. Queries of one
class share their positives, so intervals are somewhat narrower than independent queries' would be.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatColumns = npt.NDArray[np.float64]

_BLOCK_CELLS = 2_000_000  # draws times queries held at once: 16 MB


@dataclass(frozen=True)
class Draws:
    """How often and with which seed to draw, and the share of draws inside the interval."""

    samples: int = 1000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile interval; NaN where no query could be judged."""

    value: float
    low: float
    high: float
    queries: int


def resampled_means(columns: FloatColumns, draws: Draws) -> FloatColumns:
    """Means [samples, K] of ``columns`` [N, K] over each draw of N queries; NaN cells are left out.

    A draw that holds no judged query of a column gives NaN there.
    """
    queries = len(columns)
    judged = ~np.isnan(columns)
    values = np.where(judged, columns, 0.0)
    rng = np.random.default_rng(draws.seed)
    block = max(1, _BLOCK_CELLS // queries)
    means = []
    for start in range(0, draws.samples, block):
        times = np.empty((min(block, draws.samples - start), queries))
        for row in times:
            row[:] = np.bincount(rng.integers(queries, size=queries), minlength=queries)
        with np.errstate(invalid="ignore"):
            means.append((times @ values) / (times @ judged))
    return np.concatenate(means)


def interval_of(value: float, resampled: FloatColumns, draws: Draws, *, queries: int) -> Interval:
    """The percentile interval of one statistic from its resampled values [samples]."""
    usable = resampled[np.isfinite(resampled)]
    if not len(usable) or not np.isfinite(value):
        return Interval(float(value), float("nan"), float("nan"), queries)
    tail = 50 * (1 - draws.confidence)
    low, high = np.percentile(usable, [tail, 100 - tail])
    return Interval(float(value), float(low), float(high), queries)


def mean_interval(values: FloatColumns, draws: Draws) -> Interval:
    """The mean of ``values`` [N] with its interval. NaN values are no queries."""
    means = resampled_means(values[:, None], draws)[:, 0]
    return interval_of(_mean(values), means, draws, queries=_judged(values))


def paired_difference(first: FloatColumns, second: FloatColumns, draws: Draws) -> Interval:
    """Mean of ``first - second`` over the same queries [N], with its interval."""
    return mean_interval(first - second, draws)


def _mean(values: FloatColumns) -> float:
    return float(np.nanmean(values)) if _judged(values) else float("nan")


def _judged(values: FloatColumns) -> int:
    return int((~np.isnan(values)).sum())
