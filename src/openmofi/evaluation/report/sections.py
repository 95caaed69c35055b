"""HTML of the report's numbers: the table of metrics, bars by part, classes, the attack's grid."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from openmofi import pages
from openmofi.evaluation import wording

Facts = Mapping[str, Any]
_MOST_LETTERS = 80  # of a name; a longer one is cut, so that a page has a bound


def short(name: str) -> str:
    """A name of the data, cut and escaped."""
    cut = name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"
    return escape(cut)


def says(role: str) -> str:
    """A role for people."""
    return escape(role.replace("_", " "))


def metrics_table(models: Sequence[Facts], rows: Sequence[Facts]) -> str:
    """Models by suites; each other model's cell says what the candidate is against it."""
    head = "".join(f'<th scope="col">{_model(model)}</th>' for model in models)
    body = "\n".join(_metric_row(models, row) for row in rows)
    return (
        f'<table class="scores"><thead><tr><td></td>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>"
    )


def part_bars(models: Sequence[Facts], rows: Sequence[Facts]) -> str:
    """Bars by domain, or whatever a metric's parts are; empty where no metric has two."""
    groups = "\n".join(_bar_group(models, row) for row in rows if len(row["parts"]) > 1)
    if not groups:
        return ""
    keys = " ".join(
        f'<span class="key"><i class="fill m{place}"></i> {says(model["role"])}</span>'
        for place, model in enumerate(models)
    )
    return (
        f'<h2>By domain</h2>\n<p>{keys} <span class="note">The line on a bar is its '
        f'interval.</span></p>\n<div class="groups">{groups}</div>'
    )


def fact_table(models: Sequence[Facts], facts: Mapping[str, Facts]) -> str:
    """Numbers that are no means over queries, such as the penalty that a probe chose."""
    names = list(dict.fromkeys(name for found in facts.values() for name in found))
    if not names:
        return ""
    roles = [model["role"] for model in models if model["role"] in facts]
    rows = [
        [escape(wording.title(name)), *(_fact(facts[role].get(name)) for role in roles)]
        for name in names
    ]
    head = ["", *(role.replace("_", " ") for role in roles)]
    return f"<h2>Beside the metrics</h2>\n{pages.table(head, rows)}"


def class_tables(facts: Facts) -> str:
    """The candidate's worst and best classes."""
    if not facts:
        return ""
    tables = [
        pages.table(
            [kind, facts["title"]],
            [[short(row["class"]), f"{row['value']:.1f}"] for row in facts[kind]],
        )
        for kind in ("worst", "best")
    ]
    return (
        f'<h2>The candidate\'s worst and best classes</h2>\n<div class="groups">'
        f"{''.join(tables)}</div>"
    )


def heat_maps(grids: Sequence[Facts]) -> str:
    """The attack by size, position and colour, a table a model and colour."""
    if not grids:
        return ""
    figures = "\n".join(_heat_map(grid) for grid in grids)
    return (
        "<h2>The attack by size, position and colour</h2>\n<p>Share of attacked pictures that are "
        "still named right, in percent; the stronger the colour, the more. Rows: height of the "
        f'writing. Columns: its place.</p>\n<div class="groups">{figures}</div>'
    )


def _model(model: Facts) -> str:
    role, name = model["role"].replace("_", " "), model["name"]
    return escape(role) + ("" if role == name else f"<br><small>{short(name)}</small>")


def _metric_row(models: Sequence[Facts], row: Facts) -> str:
    cells = "".join(
        f'<td data-of="{says(model["role"])}">'
        f"{_value(row['values'].get(model['role']))}{_against(row, model['role'])}</td>"
        for model in models
    )
    return f'<tr><th scope="row">{escape(row["title"])}</th>{cells}</tr>'


def _value(interval: Facts | None) -> str:
    if interval is None or interval["value"] is None:
        return "-"
    span = wording.span(interval)
    return f"<span><b>{wording.number(interval)}</b> <small>{span}</small></span>"


def _against(row: Facts, role: str) -> str:
    """What the candidate is against another model, in words."""
    found = row["against"].get(role)
    if found is None or found["low"] is None:
        return ""
    word = found["verdict"]
    value = f"{found['value']:+.1f} ({wording.span(found, '+')})"
    return f'<span class="verdict {_css(word)}">candidate {value}: <b>{word}</b></span>'


def _fact(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _css(word: str) -> str:
    return word if word in ("better", "worse") else "unsure"


def _bar_group(models: Sequence[Facts], row: Facts) -> str:
    bars = "\n".join(
        f'<div class="part"><span>{short(part["part"])}</span>'
        f"<div>{_bars(models, part)}</div></div>"
        for part in row["parts"]
    )
    return f"<section><h3>{escape(row['title'])}</h3>\n{bars}</section>"


def _bars(models: Sequence[Facts], part: Facts) -> str:
    lines = []
    for place, model in enumerate(models):
        interval = part["values"].get(model["role"])
        if interval is None or interval["value"] is None:
            continue
        says_it = f"{wording.number(interval)} ({wording.span(interval)})"
        lines.append(
            f'<div class="bar" title="{says(model["role"])}: {says_it}"><div class="track">'
            f'<i class="fill m{place}" style="width:{_percent(interval["value"])}"></i>'
            f"{_whisker(interval)}</div><span>{says_it}</span></div>"
        )
    return "".join(lines)


def _whisker(interval: Facts) -> str:
    if interval["low"] is None:
        return ""
    left, right = interval["low"], interval["high"]
    return f'<i class="whisker" style="left:{_percent(left)};width:{_percent(right - left)}"></i>'


def _percent(value: float) -> str:
    return f"{min(max(value, 0.0), 100.0):.1f}%"


def _heat_map(grid: Facts) -> str:
    head = "".join(f"<th>{short(name.replace('_', ' '))}</th>" for name in grid["positions"])
    rows = "\n".join(
        f'<tr><th scope="row">{short(size)}</th>{"".join(map(_heat_cell, row))}</tr>'
        for size, row in zip(grid["sizes"], grid["values"], strict=True)
    )
    caption = f"{says(grid['role'])}, {short(grid['colour'])}"
    return (
        f'<div class="wide"><table class="heat"><caption>{caption}</caption>\n'
        f"<tr><td></td>{head}</tr>\n{rows}</table></div>"
    )


def _heat_cell(value: float | None) -> str:
    if value is None:
        return "<td>-</td>"
    return f'<td style="--share:{min(max(value / 100, 0), 1):.3f}">{value:.0f}</td>'
