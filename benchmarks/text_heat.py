"""Heat maps as SVG: a share in each cell as a number and a colour, on light and on dark paper."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from benchmarks.text_labels import wilson

_CELL_WIDE, _CELL_HIGH, _TOP, _GAP = 54, 30, 118, 40
_STEPS = (50, 70, 80, 90, 95, 98)  # percent, the lower ends of all colours but the first
# Orange to blue: the colour-blind tell them apart too. Fill and ink, for light and dark paper.
_LIGHT = (
    ("#b35806", "#fff"), ("#e08214", "#222b38"), ("#fdb863", "#222b38"), ("#f2e2c8", "#222b38"),
    ("#c6dbef", "#222b38"), ("#6baed6", "#222b38"), ("#2171b5", "#fff"),
)  # fmt: skip
_DARK = (
    ("#ff9248", "#161a21"), ("#c9701f", "#161a21"), ("#8a5420", "#fff"), ("#4d4234", "#fff"),
    ("#24435f", "#fff"), ("#2f6ea6", "#fff"), ("#56b4e9", "#161a21"),
)  # fmt: skip

Counts = tuple[int, int]  # hits, and of how many


class Panel(NamedTuple):
    """One map. Cells that nobody measured are left out."""

    name: str
    rows: Sequence[object]
    columns: Sequence[object]
    cells: Mapping[tuple[object, object], Counts]
    row_name: str
    column_name: str
    goal: frozenset[tuple[object, object]] = frozenset()  # these cells get a frame


def heat_map(title: str, notes: Sequence[str], panels: Sequence[Panel]) -> str:
    """The SVG: panels side by side, a key of the colours below."""
    beside = [24 + 7 * max(len(str(one)) for one in panel.rows) + 16 for panel in panels]
    wide = [_CELL_WIDE * len(panel.columns) for panel in panels]
    high = _CELL_HIGH * max(len(panel.rows) for panel in panels)
    width = max(sum(beside) + sum(wide) + _GAP * len(panels), 14 + 7 * len(max(notes, key=len)))
    height = _TOP + high + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{_quoted(title)}" '
        'font-family="system-ui, DejaVu Sans, sans-serif" font-size="13">',
        f"<style>{_style()}</style>",
        '<rect class="back" width="100%" height="100%"/>',
        f'<text x="14" y="26" font-size="16" font-weight="600">{escape(title)}</text>',
        *(
            f'<text class="soft" x="14" y="{47 + 17 * place}">{escape(note)}</text>'
            for place, note in enumerate(notes)
        ),
    ]
    left = 0
    for panel, label, cells in zip(panels, beside, wide, strict=True):
        parts += _panel(panel, left + label)
        left += label + cells + _GAP
    return "\n".join([*parts, *_key(_TOP + high + 36), "</svg>", ""])


def step(hits: int, total: int) -> int:
    """Which colour a share has. A share just below a step has the colour below it."""
    return sum(100 * hits >= one * total for one in _STEPS)


def percent(hits: int, total: int) -> int:
    """Whole percent, never rounded up: 94.9 must not look like 95."""
    return 100 * hits // total


def _panel(panel: Panel, left: int) -> Iterator[str]:
    middle = left + _CELL_WIDE * len(panel.columns) / 2
    yield (
        f'<text x="{left}" y="{_TOP - 34}" font-weight="600">{escape(panel.name)}</text>'
        f'<text class="soft" x="{left - 10}" y="{_TOP - 9}" text-anchor="end">'
        f"{escape(panel.row_name)}</text>"
        f'<text class="soft" x="{middle}" text-anchor="middle" '
        f'y="{_TOP + _CELL_HIGH * len(panel.rows) + 15}">{escape(panel.column_name)}</text>'
    )
    for place, column in enumerate(panel.columns):
        yield (
            f'<text class="soft" x="{left + _CELL_WIDE * (place + 0.5)}" y="{_TOP - 9}" '
            f'text-anchor="middle">{escape(str(column))}</text>'
        )
    for line, row in enumerate(panel.rows):
        top = _TOP + _CELL_HIGH * line
        yield (
            f'<text class="soft" x="{left - 10}" y="{top + 20}" text-anchor="end">'
            f"{escape(str(row))}</text>"
        )
        for place, column in enumerate(panel.columns):
            if panel.cells.get((row, column), (0, 0))[1]:
                yield _cell(panel, row, column, left + _CELL_WIDE * place, top)


def _cell(panel: Panel, row: object, column: object, x: int, y: int) -> str:
    hits, total = panel.cells[row, column]
    colour = step(hits, total)
    low, high = wilson(hits, total)
    said = (
        f"{panel.row_name} {row}, {panel.column_name} {column}: {hits} of {total}, "
        f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    )
    frame = " goal" if (row, column) in panel.goal else ""
    return (
        f'<g><title>{escape(said)}</title><rect class="f{colour}{frame}" x="{x + 1.5}" '
        f'y="{y + 1.5}" width="{_CELL_WIDE - 3}" height="{_CELL_HIGH - 3}" rx="3"/>'
        f'<text class="t{colour}" x="{x + _CELL_WIDE / 2}" y="{y + 20}" text-anchor="middle">'
        f"{percent(hits, total)}</text></g>"
    )


def _key(top: int) -> Iterator[str]:
    yield f'<text class="soft" x="14" y="{top + 15}">percent</text>'
    lows, highs = (0, *_STEPS), (*_STEPS, 100)
    for place, (low, high) in enumerate(zip(lows, highs, strict=True)):
        x = 78 + 74 * place
        yield (
            f'<rect class="f{place}" x="{x}" y="{top}" width="70" height="21" rx="3"/>'
            f'<text class="t{place}" x="{x + 35}" y="{top + 15}" text-anchor="middle" '
            f'font-size="12">{low} to {high}</text>'
        )


def _style() -> str:
    def colours(pairs: Sequence[tuple[str, str]]) -> str:
        return "".join(
            f".f{place}{{fill:{fill}}}.t{place}{{fill:{ink}}}"
            for place, (fill, ink) in enumerate(pairs)
        )

    return (
        "text{fill:#222b38}.soft{fill:#5b6577}.back{fill:#fff}.goal{stroke:#222b38;"
        f"stroke-width:1.6}}{colours(_LIGHT)}@media (prefers-color-scheme:dark){{"
        "text{fill:#e6e9ef}.soft{fill:#a7b0c0}.back{fill:#161a21}.goal{stroke:#e6e9ef}"
        f"{colours(_DARK)}}}"
    )


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})
