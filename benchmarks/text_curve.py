"""Precision against recall over all cuts, as SVG."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from openmofi.files import write_text

_LEFT, _TOP, _WIDE, _HIGH = 70, 92, 440, 330
_WIDTH, _HEIGHT = _LEFT + _WIDE + 88, _TOP + _HIGH + 56
_GOALS = (0.95, 0.92)  # precision and recall
# Colours are told apart by the colour-blind too (Okabe and Ito).
_STYLE = """
text{fill:#222b38} .soft{fill:#5b6577} .back{fill:#fff} .grid{stroke:#e3e7ee}
.goal{stroke:#5b6577;stroke-dasharray:3 4} .line{fill:none;stroke-width:2.2}
.l0{stroke:#d55e00;stroke-dasharray:7 4} .l1{stroke:#0072b2} .d0{fill:#d55e00} .d1{fill:#0072b2}
@media (prefers-color-scheme:dark){
text{fill:#e6e9ef} .soft{fill:#a7b0c0} .back{fill:#161a21} .grid{stroke:#2a313d}
.goal{stroke:#a7b0c0} .l0{stroke:#ff9248} .l1{stroke:#56b4e9} .d0{fill:#ff9248} .d1{fill:#56b4e9}
}"""

Points = list[tuple[float, float]]  # recall and precision


class Line(NamedTuple):
    name: str
    curve: Points
    cut: tuple[int, int, int]  # right, wrong and missed at the rule's cut


def curve_of(best: npt.NDArray[np.float32], text: npt.NDArray[np.bool_]) -> Points:
    """Recall and precision at every cut that changes them, the highest first.

    Args:
        best: [pictures] what the cut is compared with; below 0 there is no box at any cut.
        text: [pictures] the truth.
    """
    order = np.argsort(-best, kind="stable")
    order = order[best[order] >= 0]
    right = np.cumsum(text[order])
    # Pictures of the same confidence are flagged together.
    last = np.append(best[order][1:] != best[order][:-1], True)[: len(order)]
    flagged = np.arange(1, len(order) + 1)
    total = max(1, int(text.sum()))
    return [
        (float(right[at] / total), float(right[at] / flagged[at])) for at in np.flatnonzero(last)
    ]


def write_curve(note: str, lines: Sequence[Line], out: Path) -> None:
    """Draw at most two lines, whole or not at all."""
    parts = [*_heads(note, lines), *_frame()]
    for place, line in enumerate(lines):
        parts += _line(place, line)
    label = "Precision against recall of the text rule"
    write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{label}" '
        'font-family="system-ui, DejaVu Sans, sans-serif" font-size="13">\n'
        f'<style>{_STYLE}</style>\n<rect class="back" width="100%" height="100%"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n",
        out,
    )


def _heads(note: str, lines: Sequence[Line]) -> Iterator[str]:
    yield (
        f'<text x="14" y="26" font-size="16" font-weight="600">'
        f"Which photographs hold text?</text>"
        f'<text class="soft" x="14" y="47">{escape(note)}</text>'
    )
    for place, line in enumerate(lines):
        x = _LEFT + 215 * place
        yield (
            f'<path class="line l{place}" d="M{x} 68h30"/><circle class="d{place}" cx="{x + 15}" '
            f'cy="68" r="5"/><text x="{x + 38}" y="72">{escape(line.name)}</text>'
        )
    middle = _TOP + _HIGH / 2
    yield (
        f'<text x="20" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 20 {middle})">precision</text>'
        f'<text x="{_LEFT + _WIDE / 2}" y="{_HEIGHT - 12}" text-anchor="middle">'
        "recall (dots: at the rule's cut)</text>"
    )


def _frame() -> Iterator[str]:
    for tenth in range(0, 11, 2):
        x, y = _place(tenth / 10, tenth / 10)
        yield (
            f'<path class="grid" d="M{_LEFT} {y:.1f}h{_WIDE}M{x:.1f} {_TOP}v{_HIGH}"/>'
            f'<text class="soft" x="{_LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">'
            f"{10 * tenth} %</text>"
            f'<text class="soft" x="{x:.1f}" y="{_TOP + _HIGH + 19}" text-anchor="middle">'
            f"{10 * tenth} %</text>"
        )
    precision, recall = _GOALS
    x, y = _place(recall, precision)
    yield (
        f'<path class="goal" fill="none" d="M{_LEFT} {y:.1f}h{_WIDE}M{x:.1f} {_TOP}v{_HIGH}"/>'
        f'<text class="soft" x="{_LEFT + _WIDE + 7}" y="{y + 4.5:.1f}">'
        f"goal {100 * precision:g} %</text>"
        f'<text class="soft" x="{x:.1f}" y="{_TOP - 6}" text-anchor="end">'
        f"goal {100 * recall:g} %</text>"
    )


def _line(place: int, line: Line) -> Iterator[str]:
    if line.curve:
        points = "L".join("{:.1f} {:.1f}".format(*_place(*point)) for point in line.curve)
        yield f'<path class="line l{place}" d="M{points}"/>'
    right, wrong, missed = line.cut
    if right:
        x, y = _place(right / (right + missed), right / (right + wrong))
        said = f"{line.name}: {right} flagged with text, {wrong} without, {missed} missed"
        yield (
            f'<circle class="d{place}" cx="{x:.1f}" cy="{y:.1f}" r="6">'
            f"<title>{escape(said)}</title></circle>"
        )


def _place(recall: float, precision: float) -> tuple[float, float]:
    return _LEFT + _WIDE * recall, _TOP + _HIGH * (1 - precision)
