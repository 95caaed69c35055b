"""Precision and recall against the cut as SVG, above the scores of right and wrong labels."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from openmofi.errors import InputError
from openmofi.files import write_text
from openmofi.labeling.quality.judged import Ints, Judged

_LEFT, _WIDE, _TOP, _HIGH = 74, 640, 84, 330
_BARS_TOP, _BARS_HIGH = _TOP + _HIGH + 46, 120
_WIDTH, _HEIGHT = _LEFT + _WIDE + 86, _BARS_TOP + _BARS_HIGH + 52
_BINS = 40

# Colours are told apart by the colour-blind too (Okabe and Ito).
_STYLE = """
text{fill:#222b38} .soft{fill:#5b6577} .back{fill:#fff} .grid{stroke:#e3e7ee} .axis{stroke:#8a94a6}
.precision{stroke:#0072b2} .band{fill:#0072b2;fill-opacity:.16} .recall{stroke:#d55e00}
.wished{stroke:#5b6577;stroke-dasharray:3 4} .cut{stroke:#222b38;stroke-dasharray:7 4}
.line{fill:none;stroke-width:2.2} .right{fill:#0072b2} .wrong{fill:#e69f00}
@media (prefers-color-scheme:dark){
text{fill:#e6e9ef} .soft{fill:#a7b0c0} .back{fill:#161a21} .grid{stroke:#2a313d}
.axis{stroke:#7b8698} .precision{stroke:#56b4e9} .band{fill:#56b4e9;fill-opacity:.2}
.recall{stroke:#ff9248} .wished{stroke:#a7b0c0} .cut{stroke:#e6e9ef} .right{fill:#56b4e9}
}"""

Curve = Sequence[Sequence[float]]


def check_plot(out: Path) -> None:
    """Refuse a file of another kind, before there is work."""
    if out.suffix.lower() != ".svg":
        raise InputError(f"--plot draws SVG; name the file *.svg, not {out}")


def write_plot(judged: Judged, curve: Curve, cut: float, wished: float | None, out: Path) -> None:
    """Draw a sample and its cut, whole or not at all.

    Args:
        judged: The sample.
        curve: Points of `calibration.CURVE`, the lowest cut first.
        cut: The cut.
        wished: The precision wished, 0 to 1; ``None`` if nobody wished one.
        out: File to write.

    Raises:
        InputError: ``out`` does not end in ``.svg`` or cannot be written.
    """
    check_plot(out)
    write_text(_Drawing(judged, curve, cut, wished).svg(), out)


class _Drawing:
    def __init__(self, judged: Judged, curve: Curve, cut: float, wished: float | None) -> None:
        self.judged, self.curve, self.cut, self.wished = judged, curve, cut, wished
        low = min(float(judged.scores.min()), cut)
        high = max(float(judged.scores.max()), cut)
        margin = max(0.02 * (high - low), 1e-3)
        self.low, self.high = low - margin, high + margin

    def svg(self) -> str:
        parts = [*self._heads(), *self._frame(), *self._curves(), *self._bars(), *self._marks()]
        label = "Precision and recall of labels against the cut, and the scores judged"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{label}" '
            'font-family="system-ui, DejaVu Sans, sans-serif" font-size="13">\n'
            f'<style>{_STYLE}</style>\n<rect class="back" width="100%" height="100%"/>\n'
            + "\n".join(parts)
            + "\n</svg>\n"
        )

    def _x(self, score: float) -> float:
        return _LEFT + _WIDE * (score - self.low) / (self.high - self.low)

    def _point(self, score: float, share: float) -> str:
        return f"{self._x(score):.1f} {_y(share):.1f}"

    def _heads(self) -> Iterator[str]:
        judged = self.judged
        yield (
            f'<text x="{_LEFT}" y="26" font-size="16" font-weight="600">'
            "How many labels are right from which score on?</text>"
            f'<text class="soft" x="{_LEFT}" y="47">{len(judged):,} labels of '
            f"{len(judged.strata):,} images judged, {int(judged.right.sum()):,} right</text>"
        )
        yield (
            f'<path class="line precision" d="M{_LEFT} 66h26"/>'
            f'<text x="{_LEFT + 33}" y="70">precision, with its 95 % interval</text>'
            f'<path class="line recall" d="M{_LEFT + 270} 66h26"/>'
            f'<text x="{_LEFT + 303}" y="70">recall among the labels judged</text>'
        )
        for at, kind in ((_LEFT + 538, "right"), (_LEFT + 606, "wrong")):
            yield (
                f'<rect class="{kind}" x="{at}" y="60" width="12" height="11"/>'
                f'<text x="{at + 18}" y="70">{kind}</text>'
            )
        for middle, said in ((_TOP + _HIGH / 2, "share"), (_BARS_TOP + _BARS_HIGH / 2, "labels")):
            yield (
                f'<text x="20" y="{middle}" text-anchor="middle" '
                f'transform="rotate(-90 20 {middle})">{said}</text>'
            )
        yield (
            f'<text x="{_LEFT + _WIDE / 2}" y="{_HEIGHT - 10}" text-anchor="middle">'
            "clip_score (cosine)</text>"
        )

    def _frame(self) -> Iterator[str]:
        for step in range(0, 11, 2):
            at = _y(step / 10)
            yield (
                f'<path class="grid" d="M{_LEFT} {at:.1f}h{_WIDE}"/>'
                f'<text class="soft" x="{_LEFT - 8}" y="{at + 4.5:.1f}" text-anchor="end">'
                f"{10 * step} %</text>"
            )
        base = _BARS_TOP + _BARS_HIGH
        for tick in _ticks(self.low, self.high):
            at = self._x(tick)
            yield (
                f'<path class="grid" d="M{at:.1f} {_TOP}v{_HIGH}M{at:.1f} {_BARS_TOP}'
                f'v{_BARS_HIGH}"/><text class="soft" x="{at:.1f}" y="{base + 19}" '
                f'text-anchor="middle">{tick:g}</text>'
            )

    def _curves(self) -> Iterator[str]:
        upper = [self._point(point[0], point[4]) for point in self.curve]
        lower = [self._point(point[0], point[3]) for point in reversed(self.curve)]
        yield f'<path class="band" d="M{"L".join([*upper, *lower])}Z"/>'
        for kind, place in (("recall", 5), ("precision", 2)):
            line = "L".join(self._point(point[0], point[place]) for point in self.curve)
            yield f'<path class="line {kind}" d="M{line}"/>'

    def _bars(self) -> Iterator[str]:
        edges = np.linspace(self.low, self.high, _BINS + 1)
        right = np.histogram(self.judged.scores[self.judged.right], edges)[0].astype(np.int64)
        wrong = np.histogram(self.judged.scores[~self.judged.right], edges)[0].astype(np.int64)
        most = max(int((right + wrong).max()), 1)
        base, wide = _BARS_TOP + _BARS_HIGH, _WIDE / _BINS
        beneath: Ints = np.zeros(_BINS, np.int64)
        for kind, counts in (("right", right), ("wrong", wrong)):
            for place in np.flatnonzero(counts).tolist():
                tall = _BARS_HIGH * counts[place] / most
                top = base - tall - _BARS_HIGH * beneath[place] / most
                span = f"{edges[place]:.3f} to {edges[place + 1]:.3f}"
                yield (
                    f'<rect class="{kind}" x="{_LEFT + place * wide + 0.5:.1f}" y="{top:.1f}" '
                    f'width="{wide - 1:.1f}" height="{tall:.1f}">'
                    f"<title>{span}: {counts[place]} {kind}</title></rect>"
                )
            beneath = beneath + counts
        beside = f'class="soft" x="{_LEFT - 8}" text-anchor="end"'
        yield f'<text {beside} y="{_BARS_TOP + 9}">{most:,}</text>'
        yield f'<text {beside} y="{base}">0</text>'

    def _marks(self) -> Iterator[str]:
        for top, tall in ((_TOP, _HIGH), (_BARS_TOP, _BARS_HIGH)):
            yield f'<path class="axis" fill="none" d="M{_LEFT} {top}v{tall}h{_WIDE}"/>'
        if self.wished is not None:
            at = _y(self.wished)
            yield (
                f'<path class="line wished" d="M{_LEFT} {at:.1f}h{_WIDE}"/>'
                f'<text x="{_LEFT + _WIDE + 7}" y="{at + 4.5:.1f}">≥ {100 * self.wished:g} %</text>'
            )
        at = self._x(self.cut)
        # Between the two parts, where no curve runs, and on the side that has room.
        beside = f'x="{at - 6:.1f}" text-anchor="end"' if at > _LEFT + 300 else f'x="{at + 6:.1f}"'
        yield (
            f'<path class="line cut" d="M{at:.1f} {_TOP}V{_BARS_TOP + _BARS_HIGH}"/>'
            f'<text {beside} y="{_TOP + _HIGH + 20}" font-weight="600">cut {self.cut:.4f}</text>'
        )


def _y(share: float) -> float:
    return _TOP + _HIGH * (1 - share)


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers within."""
    rough = (high - low) / 8
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough)
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [round(one * step, 10) for one in range(first, last + 1)]
