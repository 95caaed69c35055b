"""From what each query scored to metrics in percent, with intervals; and two models compared.

A model's result is a set of columns, one number a query: average precision, or 1.0 for a correct
answer. A metric is the mean of a column, or the ratio of two means.

A difference of two models is noise if its interval holds zero: then not even its sign is known.
That is the only rule, wherever differences are shown or decided on; nothing looks at whether the
two models' own intervals overlap, which hides differences that pairing sees.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.evaluation.bootstrap import (
    Draws,
    Interval,
    interval_of,
    judged_units,
    resampled_means,
)

Columns = Mapping[str, npt.NDArray[np.float64]]  # name to [N]
Groups = npt.NDArray[np.int64] | None

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
        """Whether the interval holds zero, so that the sign is not known. Also if it is unknown."""
        return not (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class _Sampled:
    """One metric in percent: over all queries, and over each draw [samples]."""

    mean: float
    drawn: npt.NDArray[np.float64]
    queries: int
    units: int


def summarise(columns: Columns, draws: Draws, groups: Groups = None) -> dict[str, Interval]:
    """Every metric of one model in percent, with its interval.

    Args:
        columns: Of one or several sets of queries; those of equal length are one set.
        draws: How to draw.
        groups: [N] class of each query, for the columns of N queries: classes are drawn, each
            with all its queries. Other columns, and all without it, are drawn by query.
    """
    return {
        name: interval_of(one.mean, one.drawn, draws, queries=one.queries, units=one.units)
        for name, one in _sampled(columns, draws, groups).items()
    }


def compare(
    first: Columns, second: Columns, draws: Draws, groups: Groups = None
) -> dict[str, Difference]:
    """Every metric that both models have: first minus second in percentage points, paired.

    A query counts where both models were judged on it.

    Args:
        first: Columns of one model.
        second: Of the other, on the same queries.
        draws: How to draw.
        groups: As for `summarise`.

    Raises:
        InputError: A column has not as many queries for one model as for the other.
    """
    ours, theirs = _on_the_same_queries(first, second)
    one, other = _sampled(ours, draws, groups), _sampled(theirs, draws, groups)
    result = {}
    for name, mine in one.items():
        drawn = mine.drawn - other[name].drawn  # the same draws: same queries, same seed
        found = interval_of(
            mine.mean - other[name].mean, drawn, draws, queries=mine.queries, units=mine.units
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


def headline(names: Iterable[str]) -> list[str]:
    """The metrics without their parts: those of single domains, ``retrieval/map/<domain>``.

    The suites of the default config come first, in a fixed order, the others as they are given.
    """
    order = (RETRIEVAL, LEAVE_ONE_OUT, ZERO_SHOT, CLEAN, ATTACKED, RETENTION, FOOLED)
    present = dict.fromkeys(names)
    known = [name for name in order if name in present]
    others = [name for name in present if name not in order]
    return known + [name for name in others if name.rpartition("/")[0] not in present]


def _sampled(columns: Columns, draws: Draws, groups: Groups) -> dict[str, _Sampled]:
    found: dict[str, _Sampled] = {}
    for queries in dict.fromkeys(len(column) for column in columns.values()):
        names = [name for name, column in columns.items() if len(column) == queries]
        together = groups if groups is not None and len(groups) == queries else None
        stacked = np.stack([columns[name] for name in names], axis=1)
        means, drawn = 100 * _column_means(stacked), 100 * resampled_means(stacked, draws, together)
        for place, name in enumerate(names):
            judged = int((~np.isnan(columns[name])).sum())
            units = judged_units(columns[name], together)
            found[name] = _Sampled(float(means[place]), drawn[:, place], judged, units)
    for name, (above, below) in _RATIOS.items():
        if above in found and below in found:
            found[name] = _ratio(found[above], found[below])
    return found


def _ratio(above: _Sampled, below: _Sampled) -> _Sampled:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = float(100 * np.float64(above.mean) / np.float64(below.mean))
        drawn = 100 * above.drawn / below.drawn
    return _Sampled(mean, drawn, above.queries, above.units)


def _on_the_same_queries(
    first: Columns, second: Columns
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, npt.NDArray[np.float64]]]:
    """The columns of both, NaN where one of them is."""
    ours, theirs = {}, {}
    for name in first:
        if name not in second:
            continue
        one, other = first[name], second[name]
        if len(one) != len(other):
            raise InputError(
                f"{name}: {len(one)} and {len(other)} queries can't be paired: measure both "
                "models on the same evaluation set"
            )
        unjudged = np.isnan(one) | np.isnan(other)
        ours[name], theirs[name] = (np.where(unjudged, np.nan, each) for each in (one, other))
    return ours, theirs


def _column_means(stacked: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    judged = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        mean: npt.NDArray[np.float64] = np.where(judged, stacked, 0).sum(axis=0) / judged.sum(
            axis=0
        )
    return mean


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "_", text.lower(), flags=re.ASCII).strip("_") or "unnamed"
