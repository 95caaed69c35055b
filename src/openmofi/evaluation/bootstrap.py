"""Percentile bootstrap over queries: intervals, and paired differences on the same queries.

What is drawn with replacement is a query, or all queries of a group at once. Images of a class
find each other and share its prompts, captions of an image share the image: they are right and
wrong together, and drawn one by one they pass for more evidence than they are. With m queries a
group and a correlation of r inside, the interval would be too narrow by sqrt(1 + (m - 1) r).

All columns of one call, and all calls of as many queries, the same groups and the same seed, see
the same draws: that is what pairs two models.

What no interval here holds: the luck of a training seed; that one of twenty true zeros is called
a difference at 95 %; a metric at its bound, 0 or 100 %, where all draws are the same.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError

FloatColumns = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_BLOCK_CELLS = 2_000_000  # draws times what is drawn, held at once: 16 MB


@dataclass(frozen=True)
class Draws:
    """How often and with which seed to draw, and the share of draws inside the interval."""

    samples: int = 1000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile interval; NaN where no query could be judged.

    The bounds are NaN, too, where all judged queries are of one group: it says nothing of others.
    """

    value: float
    low: float
    high: float
    queries: int


def resampled_means(
    columns: FloatColumns, draws: Draws, groups: IntArray | None = None
) -> FloatColumns:
    """Means [samples, K] of ``columns`` [N, K] over each draw; NaN cells are left out.

    A draw that holds no judged query of a column gives NaN there.

    Args:
        columns: One row a query.
        draws: How to draw.
        groups: [N] what each query belongs to; as many groups are drawn as there are, each with
            all its queries. None: every query is its own.

    Raises:
        InputError: There is not one group a query.
    """
    judged = ~np.isnan(columns)
    totals = _by_group(np.where(judged, columns, 0.0), groups)
    counts = _by_group(judged.astype(np.float64), groups)
    units = len(totals)
    if not units:
        return np.full((draws.samples, columns.shape[1]), np.nan)
    rng = np.random.default_rng(draws.seed)
    block = max(1, _BLOCK_CELLS // units)
    means = []
    for start in range(0, draws.samples, block):
        times = np.empty((min(block, draws.samples - start), units))
        for row in times:
            row[:] = np.bincount(rng.integers(units, size=units), minlength=units)
        with np.errstate(invalid="ignore"):
            means.append((times @ totals) / (times @ counts))
    return np.concatenate(means)


def interval_of(
    value: float,
    resampled: FloatColumns,
    draws: Draws,
    *,
    queries: int,
    units: int | None = None,
) -> Interval:
    """The percentile interval of one statistic from its resampled values [samples].

    Args:
        value: The statistic over all queries.
        resampled: The same over each draw.
        draws: Whose confidence the interval has.
        queries: How many were judged.
        units: How many queries or groups were drawn from, see `judged_units`. Below two there
            are no bounds: one, drawn again and again, has no spread.
    """
    usable = resampled[np.isfinite(resampled)]
    if not len(usable) or not np.isfinite(value) or (units is not None and units < 2):
        return Interval(float(value), float("nan"), float("nan"), queries)
    tail = 50 * (1 - draws.confidence)
    low, high = np.percentile(usable, [tail, 100 - tail])
    return Interval(float(value), float(low), float(high), queries)


def mean_interval(values: FloatColumns, draws: Draws, groups: IntArray | None = None) -> Interval:
    """The mean of ``values`` [N] with its interval. NaN values are no queries."""
    means = resampled_means(values[:, None], draws, groups)[:, 0]
    units = judged_units(values, groups)
    return interval_of(_mean(values), means, draws, queries=_judged(values), units=units)


def paired_difference(
    first: FloatColumns, second: FloatColumns, draws: Draws, groups: IntArray | None = None
) -> Interval:
    """Mean of ``first - second`` over the same queries [N], with its interval.

    Raises:
        InputError: The two have not as many queries.
    """
    if first.shape != second.shape:
        raise InputError(
            f"{len(first)} and {len(second)} queries can't be paired: measure both models on the "
            "same evaluation set"
        )
    return mean_interval(first - second, draws, groups)


def judged_units(values: FloatColumns, groups: IntArray | None = None) -> int:
    """How many queries (groups, where given) hold a judged value of ``values`` [N]."""
    if groups is None:
        return _judged(values)
    return len(np.unique(groups[~np.isnan(values)]))


def _by_group(columns: FloatColumns, groups: IntArray | None) -> FloatColumns:
    """Sums [G, K] of the rows of each group; the rows themselves without groups."""
    if groups is None:
        return columns
    if groups.shape != (len(columns),):
        raise InputError(f"{len(columns)} queries and {len(groups)} groups of them: not one each")
    names, group_of = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, group_of, columns)
    return sums


def _mean(values: FloatColumns) -> float:
    return float(np.nanmean(values)) if _judged(values) else float("nan")


def _judged(values: FloatColumns) -> int:
    return int((~np.isnan(values)).sum())
