"""From what each query scored to metrics in percent, with intervals; and two models compared.

A model's result is a set of columns, one number a query: average precision, or 1.0 for a correct
answer. A metric is the mean of a column, or the ratio of two means.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.evaluation.bootstrap import Draws, Interval, interval_of, resampled_means

Columns = Mapping[str, npt.NDArray[np.float64]]  # name to [N]

RETRIEVAL = "retrieval/map"
LEAVE_ONE_OUT = "retrieval/map_leave_one_out"
ZERO_SHOT = "zero_shot/top1"
CLEAN = "typographic/clean"
ATTACKED = "typographic/attacked"
FOOLED = "typographic/called_by_the_text"
RETENTION = "typographic/retention"

# Every metric that is not the mean of the column of its name: numerator and denominator.
_RATIOS = {RETENTION: (ATTACKED, CLEAN)}


@dataclass(frozen=True)
class Difference(Interval):
    """First model minus second, in percentage points, on the same queries."""

    @property
    def noise(self) -> bool:
        """Whether the interval holds zero, so that the sign is not known."""
        return not (self.low > 0 or self.high < 0)


def summarise(columns: Columns, draws: Draws) -> dict[str, Interval]:
    """Every metric of one model in percent, with its interval."""
    means, drawn = _means(columns, draws)
    return {
        name: interval_of(means[name], drawn[name], draws, queries=_queries(columns, name))
        for name in means
    }


def compare(first: Columns, second: Columns, draws: Draws) -> dict[str, Difference]:
    """Every metric that both models have: first minus second in percentage points, paired."""
    means, drawn = _means(first, draws)
    other_means, other_drawn = _means(second, draws)
    result = {}
    for name in means:
        if name not in other_means:
            continue
        found = interval_of(
            means[name] - other_means[name],
            drawn[name] - other_drawn[name],  # the same draws: same queries, same seed
            draws,
            queries=_queries(first, name),
        )
        result[name] = Difference(found.value, found.low, found.high, found.queries)
    return result


def by_domain(
    columns: Columns, labels: npt.NDArray[np.int64], domains: Sequence[str]
) -> dict[str, npt.NDArray[np.float64]]:
    """Retrieval columns of each domain, ``retrieval/map/<domain>``: NaN outside of it.

    Args:
        columns: Of all queries.
        labels: [N] class of each query.
        domains: One name a class; unnamed ones belong to none.
    """
    of_query = np.array(domains, dtype=object)[labels]
    return {
        f"{metric}/{_slug(domain)}": np.where(of_query == domain, columns[metric], np.nan)
        for domain in sorted(set(domains) - {""})
        for metric in (RETRIEVAL, LEAVE_ONE_OUT)
        if metric in columns
    }


def by_class(
    column: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.float64]:
    """Mean [classes] of a column over each class's queries; NaN for a class without any."""
    judged = ~np.isnan(column)
    total = np.bincount(labels[judged], weights=column[judged], minlength=classes)
    with np.errstate(invalid="ignore"):
        return total / np.bincount(labels[judged], minlength=classes)


def plain(intervals: Mapping[str, Interval]) -> dict[str, dict[str, Any]]:
    """As JSON takes it: NaN becomes null."""
    return {
        name: {
            **{key: finite(value) for key, value in asdict(interval).items()},
            **({"noise": interval.noise} if isinstance(interval, Difference) else {}),
        }
        for name, interval in intervals.items()
    }


def values(intervals: Mapping[str, Interval]) -> dict[str, float]:
    """The metrics alone, those that are defined."""
    return {name: i.value for name, i in intervals.items() if np.isfinite(i.value)}


def finite(value: Any) -> Any:
    """``value``, or None for NaN and infinity, which JSON does not know."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _means(columns: Columns, draws: Draws) -> tuple[dict[str, float], dict[str, Any]]:
    """Every metric in percent: over all queries, and over each draw."""
    names = list(columns)
    stacked = np.stack([columns[name] for name in names], axis=1)
    means = dict(zip(names, 100 * _column_means(stacked), strict=True))
    drawn = dict(zip(names, 100 * resampled_means(stacked, draws).T, strict=True))
    for name, (above, below) in _RATIOS.items():
        if above in columns and below in columns:
            with np.errstate(invalid="ignore", divide="ignore"):
                means[name] = 100 * np.float64(means[above]) / np.float64(means[below])
                drawn[name] = 100 * drawn[above] / drawn[below]
    return {name: float(value) for name, value in means.items()}, drawn


def _column_means(stacked: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    judged = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        mean: npt.NDArray[np.float64] = np.where(judged, stacked, 0).sum(axis=0) / judged.sum(
            axis=0
        )
    return mean


def _queries(columns: Columns, name: str) -> int:
    column = columns[_RATIOS[name][0] if name in _RATIOS else name]
    return int((~np.isnan(column)).sum())


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "_", text.lower(), flags=re.ASCII).strip("_") or "unnamed"


def headline(names: Iterable[str]) -> list[str]:
    """The metrics without those of single domains, in a fixed order."""
    order = (RETRIEVAL, LEAVE_ONE_OUT, ZERO_SHOT, CLEAN, ATTACKED, RETENTION, FOOLED)
    present = set(names)
    return [name for name in order if name in present]
