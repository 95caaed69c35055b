"""What the report says of metrics, as plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openmofi.evaluation import metrics, wording
from openmofi.evaluation.bootstrap import Draws
from openmofi.evaluation.report.measured import Measured
from openmofi.evaluation.suites import Bench

_CLASSES_SHOWN = 8

Facts = dict[str, Any]


def metric_rows(
    bench: Bench, models: Sequence[Measured], paired: Mapping[str, metrics.Difference]
) -> list[Facts]:
    """Every metric with its parts: values of each model, and the candidate against each other one.

    Args:
        bench: The protocol.
        models: The candidate first.
        paired: Candidate minus baseline, where there is one.

    Returns:
        One mapping a metric: ``metric``, ``title``, ``values`` by role, ``against`` by role
        (candidate minus that model, with a ``verdict``), and ``parts``, which are alike.
    """
    differences = _differences(bench, models, paired)
    names = [name for model in models for name in model.intervals if not wording.is_grid(name)]
    return [
        {
            **_row(name, models, differences),
            "parts": [
                {**_row(part, models, differences), "part": _last(part)} for part in sorted(parts)
            ],
        }
        for name, parts in wording.breakdowns(names).items()
    ]


def class_rows(bench: Bench, candidate: Measured) -> Facts:
    """The classes that the candidate does worst and best on; empty where no suite tells."""
    columns, images = candidate.scores.columns, bench.images
    metric = next(
        (
            m
            for m in (metrics.LEAVE_ONE_OUT, metrics.ZERO_SHOT)
            if _an_image_each(bench, columns, m)
        ),
        "",
    )
    if not metric:
        return {}
    means = 100 * metrics.by_class(columns[metric], images.labels, len(images.class_names))
    order = [int(i) for i in np.argsort(means, kind="stable") if np.isfinite(means[i])]
    shown = min(_CLASSES_SHOWN, len(order) // 2)

    def rows(indices: Sequence[int]) -> list[Facts]:
        return [{"class": images.class_names[i], "value": float(means[i])} for i in indices]

    title = wording.title(metric)
    worst, best = rows(order[:shown]), rows(order[::-1][:shown])
    return {"metric": metric, "title": title, "worst": worst, "best": best} if shown else {}


def grid_facts(models: Sequence[Measured]) -> list[Facts]:
    """The attack by size, position and colour: one grid a model and colour.

    Read from metrics ``typographic_grid/<size>/<position>/<colour>``, where a suite gives them.
    """
    found = []
    for model in models:
        cells = {
            tuple(name.split("/")[1:]): interval.value
            for name, interval in model.intervals.items()
            if wording.is_grid(name)
        }
        sizes, places, colours = (_in_order(cell[axis] for cell in cells) for axis in range(3))
        for colour in colours:
            rows = [[_cell(cells, size, place, colour) for place in places] for size in sizes]
            found.append(
                {
                    "role": model.role,
                    "colour": colour,
                    "sizes": sizes,
                    "positions": places,
                    "values": rows,
                }
            )
    return found


def _differences(
    bench: Bench, models: Sequence[Measured], paired: Mapping[str, metrics.Difference]
) -> dict[str, Mapping[str, metrics.Difference]]:
    """Candidate minus each other model, by role. Draws are those of the evaluation."""
    config = bench.config
    draws = Draws(config.bootstrap_samples, config.confidence, config.seed)
    columns = models[0].scores.columns
    return {
        other.role: paired
        if other.role == "baseline" and paired
        else metrics.compare(columns, other.scores.columns, draws, bench.groups)
        for other in models[1:]
    }


def _row(
    name: str,
    models: Sequence[Measured],
    differences: Mapping[str, Mapping[str, metrics.Difference]],
) -> Facts:
    against = {}
    for role, found in differences.items():
        if name in found:
            plain = metrics.plain({name: found[name]})[name]
            against[role] = {**plain, "verdict": wording.verdict(name, found[name])}
    values = {m.role: metrics.plain(m.intervals)[name] for m in models if name in m.intervals}
    return {
        "metric": name,
        "title": wording.title(name),
        "values": values,
        "against": against,
    }


def _an_image_each(bench: Bench, columns: metrics.Columns, metric: str) -> bool:
    return metric in columns and len(columns[metric]) == len(bench.images.labels)


def _cell(cells: Mapping[tuple[str, ...], float], *place: str) -> float | None:
    value = cells.get(place)
    return None if value is None or not np.isfinite(value) else float(value)


def _in_order(names: Any) -> list[str]:
    """Each once: numbers by size, other names as they come."""
    once = list(dict.fromkeys(names))
    return sorted(once, key=float) if all(_is_number(name) for name in once) else once


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _last(name: str) -> str:
    return name.rpartition("/")[2].replace("_", " ")
