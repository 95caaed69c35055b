"""The claims as one picture: each difference with its interval, every seed as a dot."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from benchmarks.claims.measured import Found
from openmofi.evaluation.wording import title

_LEFT, _WIDE, _RIGHT, _TOP, _ROW = 470, 420, 160, 84, 40
_STYLE = """
text{fill:#222b38} .soft{fill:#5b6577} .back{fill:#fff} .grid{stroke:#e3e7ee} .zero{stroke:#5b6577}
.holds{stroke:#0072b2;fill:#0072b2} .reversed{stroke:#d55e00;fill:#d55e00}
.open{stroke:#8a94a6;fill:#8a94a6} circle.seed{fill:none;stroke-width:1.4} .line{stroke-width:3}
@media (prefers-color-scheme:dark){
text{fill:#e6e9ef} .soft{fill:#a7b0c0} .back{fill:#161a21} .grid{stroke:#2a313d}
.zero{stroke:#a7b0c0} .holds{stroke:#56b4e9;fill:#56b4e9} .reversed{stroke:#ff9248;fill:#ff9248}
.open{stroke:#7b8698;fill:#7b8698}
}"""


class Chart:
    """Rows of claims over one axis of percentage points."""

    def __init__(self, found: Sequence[Found]) -> None:
        self.found = found
        ends = [
            value
            for one in found
            for value in (one.difference.low, one.difference.high, *one.by_seed)
        ]
        margin = 0.04 * (max(*ends, 0.0) - min(*ends, 0.0) or 1.0)
        self.low, self.high = min(*ends, 0.0) - margin, max(*ends, 0.0) + margin

    def svg(self) -> str:
        """The whole picture."""
        width, height = _LEFT + _WIDE + _RIGHT, _TOP + _ROW * len(self.found) + 52
        parts = [*self._axis(), *(p for i, one in enumerate(self.found) for p in self._row(i, one))]
        head = "What both papers claim, on the demo crawl"
        note = "bar: 95 % interval over classes, mean over seeds · rings: each seed · points of %"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="{head}" '
            'font-family="system-ui, DejaVu Sans, sans-serif" font-size="13">\n'
            f'<style>{_STYLE}</style>\n<rect class="back" width="100%" height="100%"/>\n'
            f'<text x="16" y="28" font-size="16" font-weight="600">{head}</text>\n'
            f'<text class="soft" x="16" y="50">{note}</text>\n' + "\n".join(parts) + "\n</svg>\n"
        )

    def _x(self, value: float) -> float:
        return _LEFT + _WIDE * (value - self.low) / (self.high - self.low)

    def _axis(self) -> Iterator[str]:
        bottom = _TOP + _ROW * len(self.found)
        step = next(s for s in (1, 2, 5, 10, 20, 50) if (self.high - self.low) / s <= 9)
        tick = -(-self.low // step) * step
        while tick <= self.high:
            kind, x = ("zero" if tick == 0 else "grid"), self._x(tick)
            yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
            label = f"{tick:+.0f}" if tick else "0"
            yield (
                f'<text class="soft" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">'
                f"{label}</text>"
            )
            tick += step

    def _row(self, place: int, found: Found) -> Iterator[str]:
        y, one, kind = _TOP + _ROW * place + _ROW / 2, found.difference, found.verdict
        yield f'<text x="16" y="{y - 3:.1f}">{escape(found.claim.text)}</text>'
        yield (
            f'<text class="soft" x="16" y="{y + 13:.1f}" font-size="11">'
            f"{escape(title(found.claim.metric))}</text>"
        )
        yield (
            f'<line class="line {kind}" x1="{self._x(one.low):.1f}" x2="{self._x(one.high):.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        yield f'<circle class="{kind}" cx="{self._x(one.value):.1f}" cy="{y:.1f}" r="5"/>'
        for value in found.by_seed:
            yield f'<circle class="seed {kind}" cx="{self._x(value):.1f}" cy="{y:.1f}" r="8"/>'
        word = {"holds": "holds", "reversed": "the reverse", "open": "not shown"}[kind]
        yield (
            f'<text x="{_LEFT + _WIDE + 12}" y="{y + 4:.1f}">{one.value:+.1f}'
            f'<tspan class="soft" dx="6">{word}</tspan></text>'
        )
