"""A picture of what `matching.py --json FILE` measured: speed and memory, side by side.

Run: python benchmarks/matching_chart.py FILE.json PICTURE.svg
"""

import json
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_ROW, _LABEL, _BAR, _GAP = 26, 190, 300, 110
_OURS, _PEER = "#3b6fd4", "#b9c3d3"


def main() -> None:
    measured = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(draw(measured), encoding="utf-8")


def draw(measured: dict[str, Any]) -> str:
    """One row a way of matching, the fastest first."""
    texts = int(measured["options"]["texts"])
    speeds = {
        name: texts / min(one["cpu"] for one in rounds)
        for name, rounds in measured["single"].items()
    }
    names = sorted(speeds, key=lambda name: -speeds[name])
    memory = {name: measured["starts"][name.partition(",")[0]]["after_texts"] for name in names}
    width, height = _LABEL + 2 * (_BAR + _GAP), 70 + _ROW * len(names) + 34
    data = measured["data"]
    title = f"{data['surfaces']:,} aliases, one thread"
    note = (
        f"{texts:,} texts a round, the fastest of {measured['options']['rounds']}; "
        "memory held after them"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="DejaVu Sans, Arial, sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(14, 24, title, "bold"),
        _text(_LABEL, 52, "texts per second", "bold"),
        _text(_LABEL + _BAR + _GAP, 52, "MiB", "bold"),
    ]
    for place, name in enumerate(names):
        top = 62 + _ROW * place
        parts.append(_text(14, top + 16, name))
        columns = ((speeds, f"{speeds[name]:,.0f}"), (memory, f"{memory[name]:,.0f}"))
        for column, (values, label) in enumerate(columns):
            left = _LABEL + column * (_BAR + _GAP)
            length = max(1.0, _BAR * values[name] / max(values.values()))
            colour = _OURS if name.startswith("openmofi") else _PEER
            parts.append(
                f'<rect x="{left}" y="{top + 3}" width="{length:.1f}" height="{_ROW - 8}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(left + length + 6, top + 16, label))
    parts.append(_text(14, height - 14, note))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" fill="#222b38">{escape(text)}</text>'
    )


if __name__ == "__main__":
    main()
