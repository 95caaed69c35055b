"""A comparison as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openmofi.evaluation import wording

Facts = Mapping[str, Any]
_HEADS = {"data": "the data", "recipe": "the recipe", "code": "the code"}
_WIDEST = 40  # letters of a value; longer ones are cut here, not in the JSON


def comparison_text(facts: Facts) -> str:
    """Sides, metrics, what differed, notes; lines without colours."""
    parts = [list(_sides(facts["sides"])), list(_metrics(facts))]
    parts += [list(_differing(name, facts[name], facts["sides"])) for name in _HEADS]
    parts += [[f"note: {note}" for note in facts["notes"]]]
    parts += [[f"in MLflow's UI: {facts['mlflow']}"] if facts.get("mlflow") else []]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _sides(sides: Sequence[Facts]) -> Iterator[str]:
    for side in sides:
        yield f"{side['label']}  {side['name']}"
        if "evaluation" in side:
            yield (
                f"   {side['images']:,} images of {side['classes']:,} classes, "
                f"{side['data_digest'][:12]} ({side['data']})"
            )


def _metrics(facts: Facts) -> Iterator[str]:
    if not facts["metrics"]:
        return
    labels = [side["label"] for side in facts["sides"]]
    head = ["percent, with intervals", *labels, *(f"{one} - A, paired" for one in labels[1:])]
    rows = [
        [
            row["title"],
            *map(_value, row["values"]),
            *map(_difference, row["against_first"][1:]),
        ]
        for row in facts["metrics"]
        if not wording.is_grid(row["metric"])
    ]
    yield from _aligned([head, *rows])
    cells = len(facts["metrics"]) - len(rows)
    if cells:
        yield f"({cells:,} cells of the typographic grid: see --json)"


def _value(interval: Facts | None) -> str:
    if interval is None or interval["value"] is None:
        return "-"
    span = wording.span(interval)
    return f"{wording.number(interval)} ({span})" if span else wording.number(interval)


def _difference(found: Facts | None) -> str:
    if found is None or found["low"] is None:
        return "-"
    return f"{found['value']:+.1f} ({wording.span(found, '+')}) {found['verdict']}"


def _differing(name: str, part: Facts, sides: Sequence[Facts]) -> Iterator[str]:
    head, unknown = _HEADS[name], part["unknown"]
    if len(unknown) > len(sides) - 2:
        if name != "code":  # which only MLflow knows
            yield f"Of {', '.join(unknown)} nothing is known of {head}: it can't be compared."
        return
    if part["differ"]:
        labels = [side["label"] for side in sides]
        rows = [[row["name"], *map(_cut, row["values"])] for row in part["differ"]]
        yield from _aligned([[f"What differed in {head}", *labels], *rows])
    else:
        yield f"Nothing differed in {head}."
    more = f"{part['equal']:,} more are equal"
    yield f"({more}; of {', '.join(unknown)} nothing is known)" if unknown else f"({more})"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _cut(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"
