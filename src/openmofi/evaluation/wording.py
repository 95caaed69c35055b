"""How metrics are called, in which order they stand, and the plain word for a difference."""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from openmofi.evaluation.metrics import Difference
from openmofi.evaluation.typographic_grid import GRID

# In the order shown; suites that are not here come after them, by name.
_SUITES = {
    "retrieval": "Retrieval",
    "query_index": "Queries against an index",
    "zero_shot": "Zero-shot",
    "knn": "Nearest neighbours",
    "linear_probe": "Linear probe",
    "image_text": "Images and texts",
    "typographic": "Typographic attack",
    "typographic_grid": "Typographic grid",
}
_METRICS = {
    "map": "mAP",
    "map_leave_one_out": "mAP, leave-one-out",
    "top1": "top-1",
    "retention": "retention (attacked / clean)",
    "called_by_the_text": "called by the text",
}
_LESS_IS_BETTER = {"called_by_the_text"}

NOISE, SAME, UNKNOWN = "noise", "no difference", "not known"


def title(metric: str) -> str:
    """A metric for people: ``retrieval/map`` is "Retrieval: mAP"."""
    suite, _, rest = metric.partition("/")
    parts = rest.split("/")
    name = ", ".join([_METRICS.get(parts[0], _spaced(parts[0])), *map(_spaced, parts[1:])])
    return f"{_SUITES.get(suite, _spaced(suite).capitalize())}: {name}"


def ordered(names: Iterable[str]) -> list[str]:
    """Suites in their order; within a suite as given, each name once."""
    order = {suite: place for place, suite in enumerate(_SUITES)}

    def place(name: str) -> tuple[int, str]:
        suite = name.partition("/")[0]
        return order.get(suite, len(order)), "" if suite in order else suite

    return sorted(dict.fromkeys(names), key=place)


def breakdowns(names: Iterable[str]) -> dict[str, list[str]]:
    """Each metric to its parts, such as domains: ``retrieval/map`` to ``retrieval/map/land``.

    What looks like a part of a metric that is not there stands for itself.
    """
    found = ordered(names)
    result: dict[str, list[str]] = {name: [] for name in found}
    for name in found:
        whole = name.rpartition("/")[0]
        if whole in result:
            result[whole].append(name)
            del result[name]
    return result


def is_grid(name: str) -> bool:
    """Whether a metric is a cell of the attack's grid, by size, position and colour."""
    return name.startswith(f"{GRID}/") and name.count("/") == 3


def verdict(metric: str, difference: Difference | None) -> str:
    """``better``, ``worse``, ``noise`` where the sign is not known, or that there is nothing."""
    if difference is None or not np.isfinite(difference.low):
        return UNKNOWN
    if difference.low == difference.high == 0:
        return SAME
    if difference.noise:
        return NOISE
    less = metric.split("/")[1] in _LESS_IS_BETTER if "/" in metric else False
    return "better" if (difference.value > 0) != less else "worse"


def number(interval: Mapping[str, float | None]) -> str:
    """A plain interval's value in percent; ``-`` where there is none."""
    value = interval.get("value")
    return "-" if value is None else f"{value:.1f}"


def span(interval: Mapping[str, float | None], sign: str = "") -> str:
    """The bounds of a plain interval, ``43.0 to 47.2``; empty where there are none."""
    low, high = interval.get("low"), interval.get("high")
    return "" if low is None or high is None else f"{low:{sign}.1f} to {high:{sign}.1f}"


def _spaced(text: str) -> str:
    return re.sub(r"\br(\d+)$", r"R@\1", text.replace("_", " "))
