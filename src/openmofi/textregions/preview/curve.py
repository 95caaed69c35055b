"""Share of pictures dropped against the cut and against the upper limit of area, as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from openmofi.axes import Axes
from openmofi.textregions.preview.scan import Scan
from openmofi.textregions.preview.source import Floats

_POINTS = 201
_TABLE = tuple(step / 10 for step in range(1, 10))

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """One line: shares at places."""

    kind: str  # "fitting" or "with_large"
    says: str
    at: Numbers
    shares: Numbers


@dataclass(frozen=True)
class Panel:
    """One diagram, in units of data; drawn as SVG on the page and by Pillow on the sheet."""

    title: str
    axis: str
    lines: tuple[Line, ...]
    mark: float
    mark_says: str
    ticks: tuple[float, ...]
    logarithmic: bool = False

    @property
    def top(self) -> float:
        """Share at the upper edge: a round number above all lines."""
        most = max(float(line.shares.max()) for line in self.lines)
        return next(one for one in (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if one >= most)

    def across(self, at: float | Numbers) -> Numbers:
        """Place from 0, left, to 1, right."""
        low, high = self.ticks[0], self.ticks[-1]
        values = np.clip(np.asarray(at, dtype=np.float64), low, high)
        if self.logarithmic:
            values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
        return (values - low) / (high - low)

    def share_ticks(self) -> tuple[float, ...]:
        """Shares at which lines lie."""
        parts = 5 if self.top in (0.05, 0.1, 1.0) else 4
        return tuple(self.top * step / parts for step in range(parts + 1))


def shares_at(best: Floats, cuts: Sequence[float] | Numbers) -> Numbers:
    """Share of pictures whose surest box reaches each of ``cuts``; 0 without a picture.

    Args:
        best: float32[pictures].
        cuts: Confidences.
    """
    # As float32, like the rule itself.
    below = np.searchsorted(np.sort(best), np.asarray(cuts, dtype=np.float32), side="left")
    return (len(best) - below) / max(len(best), 1)


def cut_panel(scan: Scan) -> Panel:
    """Share dropped at cuts from 0 to 1, without and with the boxes above the upper limit."""
    cuts = np.union1d(np.linspace(0, 1, _POINTS), [scan.rule.min_confidence])
    fitting = scan.fitting[scan.looked_at]
    either = np.maximum(fitting, scan.large[scan.looked_at])
    lines = (
        Line("with_large", "if boxes too large counted too", cuts, shares_at(either, cuts)),
        Line("fitting", "by the rule", cuts, shares_at(fitting, cuts)),
    )
    cut = scan.rule.min_confidence
    ticks = tuple(step / 5 for step in range(6))
    return Panel(
        "Share dropped against the cut", "min_confidence", lines, cut, f"cut {cut:g}", ticks
    )


def area_panel(scan: Scan) -> Panel | None:
    """Share dropped at upper limits from the lower one to the whole picture.

    None if the rule has no lower limit to begin at, or only one area.
    """
    low, limit = scan.rule.min_area, scan.rule.area_limit
    if not 0 < low < 1:
        return None
    limits = np.union1d(np.geomspace(low, 1, _POINTS), [limit])
    smallest = np.sort(scan.smallest[scan.looked_at])
    reached = np.searchsorted(smallest, limits.astype(np.float32), side="right")
    line = Line("fitting", "by the rule", limits, reached / max(len(smallest), 1))
    ticks = [low, *(t for t in (0.001, 0.01, 0.05, 0.2) if t > low * 2), 1.0]
    return Panel(
        "Share dropped against the upper limit of area", "max_area, share of the picture",
        (line,), limit, f"max_area {limit:g}", tuple(ticks), logarithmic=True,
    )  # fmt: skip


def table_rows(scan: Scan) -> list[tuple[float, int, float, float]]:
    """Cut, pictures dropped, their share, and the share if boxes too large counted too."""
    cuts = sorted({*_TABLE, scan.rule.min_confidence})
    fitting = scan.fitting[scan.looked_at]
    shares = shares_at(fitting, cuts)
    either = shares_at(np.maximum(fitting, scan.large[scan.looked_at]), cuts)
    dropped = np.rint(shares * len(fitting)).astype(int)
    return list(zip(cuts, dropped.tolist(), shares.tolist(), either.tolist(), strict=True))


def share_at(line: Line, place: float) -> float:
    """What a line says at one of its own places."""
    return float(line.shares[np.searchsorted(line.at, place - 1e-9)])


_LEFT, _TOP, _WIDE, _HIGH = 56, 34, 410, 200
_WIDTH, _HEIGHT = _LEFT + _WIDE + 16, _TOP + _HIGH + 48
_AXES = Axes(_LEFT, _TOP, _WIDE, _HIGH, _HEIGHT)


def svg(panel: Panel, name: str) -> str:
    """The diagram, to stand in a page that styles its classes.

    Args:
        panel: What to draw.
        name: An id of the page for its title.
    """
    parts = [*_frame(panel), *_lines(panel), *_mark(panel)]
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}"><title id="{name}">{escape(_told(panel))}</title>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _told(panel: Panel) -> str:
    told = (
        f"{line.says} {100 * share_at(line, panel.mark):.1f} %" for line in reversed(panel.lines)
    )
    return f"{panel.title}. At {panel.mark_says}: {', '.join(told)}."


def _x(panel: Panel, at: float) -> float:
    return _LEFT + _WIDE * float(panel.across(at))


def _y(panel: Panel, share: float) -> float:
    return _TOP + _HIGH * (1 - share / panel.top)


def _frame(panel: Panel) -> Iterator[str]:
    yield _AXES.title(panel.title)
    for share in panel.share_ticks():
        yield _AXES.level(_y(panel, share), f"{100 * share:g} %")
    for tick in panel.ticks:
        at = _x(panel, tick)
        yield (
            f'<path class="grid" d="M{at:.1f} {_TOP}v{_HIGH}"/><text class="soft" x="{at:.1f}" '
            f'y="{_TOP + _HIGH + 17}" text-anchor="middle">{tick:g}</text>'
        )
    yield _AXES.lines(panel.axis)


def _lines(panel: Panel) -> Iterator[str]:
    for line in panel.lines:
        xs = _LEFT + _WIDE * panel.across(line.at)
        ys = _TOP + _HIGH * (1 - line.shares / panel.top)
        points = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
        yield f'<path class="line {line.kind}" d="M{points}"/>'


def _mark(panel: Panel) -> Iterator[str]:
    at = _x(panel, panel.mark)
    beside = (
        f'x="{at + 6:.1f}"' if at < _LEFT + _WIDE * 0.7 else f'x="{at - 6:.1f}" text-anchor="end"'
    )
    yield (
        f'<path class="mark" d="M{at:.1f} {_TOP}v{_HIGH}"/>'
        f'<text class="strong" {beside} y="{_TOP + 13}">{escape(panel.mark_says)}</text>'
    )
