"""Bar charts as SVG, with ticks: counts over values, both axes logarithmic or neither."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from openmofi.axes import Axes

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

LEFT, TOP, WIDE, HIGH = 52, 34, 370, 190
_WIDTH, _HEIGHT = LEFT + WIDE + 18, TOP + HIGH + 46
_AXES = Axes(LEFT, TOP, WIDE, HIGH, _HEIGHT)
_LEAST = 0.6  # where a logarithmic axis of counts begins: a count of one is seen


@dataclass(frozen=True)
class Bars:
    """Counts of bins.

    Attributes:
        counts: [bins].
        kind: A class of the page's CSS.
        says: What is counted.
    """

    counts: Counts
    kind: str
    says: str


@dataclass(frozen=True)
class Plot:
    """One chart.

    Attributes:
        title: Above it.
        axis: What the values are.
        edges: [bins + 1], of all bars.
        bars: The later stand before the earlier.
        logarithmic: Both axes.
        mark: Where a line stands, with its words.
    """

    title: str
    axis: str
    edges: Floats
    bars: Sequence[Bars]
    logarithmic: bool = False
    mark: tuple[float, str] | None = None

    @property
    def most(self) -> int:
        """The highest count."""
        return max(1, max(int(one.counts.max()) for one in self.bars))

    def x(self, value: float) -> float:
        """Pixels from the left edge of the drawing."""
        low, high = float(self.edges[0]), float(self.edges[-1])
        if self.logarithmic:
            low, high, value = np.log(low), np.log(high), np.log(value)
        return float(LEFT + WIDE * (value - low) / (high - low))

    def y(self, count: float) -> float:
        """Pixels from the top edge of the drawing."""
        share = count / self.most
        if self.logarithmic:
            share = max(np.log(max(count, _LEAST) / _LEAST) / np.log(self.most / _LEAST), 0)
        return float(TOP + HIGH * (1 - share))


def count_bins(values: Counts, times: Counts) -> tuple[Floats, Counts]:
    """Bins of about equal width on a logarithmic axis, from the first filled to the last.

    Args:
        values: Whole numbers from 1, distinct.
        times: How often each occurs.

    Returns:
        Edges [bins + 1], half way between whole numbers, and counts [bins].
    """
    most = int(values.max())
    starts = np.unique(np.ceil(2 ** (np.arange(2 * most.bit_length() + 3) / 2)).astype(np.int64))
    ends = starts[: int(np.searchsorted(starts, most, "right")) + 1]
    edges: Floats = ends.astype(np.float64) - 0.5
    counts = np.histogram(values, edges, weights=times)[0].round().astype(np.int64)
    first = int(np.flatnonzero(counts)[0])
    return edges[first:], counts[first:]


def filled_bins(edges: Floats, bars: Sequence[Bars], at: float) -> tuple[Floats, list[Bars]]:
    """Bins from the first filled to the last, those around ``at``, and one more on either side."""
    filled = np.flatnonzero(np.sum([one.counts for one in bars], axis=0))
    first = min(int(filled[0]), int(np.searchsorted(edges, at, "right")) - 1)
    last = max(int(filled[-1]), int(np.searchsorted(edges, at, "left")))
    first, last = max(first - 1, 0), min(last + 1, len(edges) - 2)
    kept = [Bars(one.counts[first : last + 1], one.kind, one.says) for one in bars]
    return edges[first : last + 2], kept


def svg(plot: Plot, name: str) -> str:
    """The chart, to stand in a page that styles its classes, with its numbers below.

    Args:
        plot: What to draw.
        name: An id of the page for its title.
    """
    parts = [*_frame(plot), *_bars(plot), *_mark(plot)]
    told = f"{plot.title}. {plot.axis}, {plot.edges[0]:g} to {plot.edges[-1]:g}."
    keys = "".join(
        f'<span class="key"><i class="{one.kind}"></i> {escape(one.says)}</span>'
        for one in plot.bars
    )
    return (
        f'<figure class="plot"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}"><title id="{name}">{escape(told)}</title>\n'
        + "\n".join(parts)
        + f"\n</svg><figcaption>{keys}</figcaption>{_numbers(plot)}</figure>"
    )


def round_ticks(low: float, high: float, wanted: int) -> list[float]:
    """About so many round numbers from ``low`` to ``high``."""
    step = 10.0 ** np.floor(np.log10((high - low) / wanted))
    step *= next(f for f in (1, 2, 5, 10) if (high - low) / (f * step) <= wanted)
    places = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1)
    # Not -0, which a drawing would show.
    return [round(float(place * step), 10) + 0.0 for place in places]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with others between where there would be few."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ratio = high / low
    steps = (1,) if ratio > 1000 else (1, 2, 5) if ratio > 8 else tuple(range(1, 10))
    return [f * 10.0**p for p in powers for f in steps if low <= f * 10.0**p <= high]


def _frame(plot: Plot) -> Iterator[str]:
    low, high = float(plot.edges[0]), float(plot.edges[-1])
    ticks = log_ticks(max(low, 1), high) if plot.logarithmic else round_ticks(low, high, 8)
    counts = log_ticks(1, plot.most) if plot.logarithmic else round_ticks(0, plot.most, 5)
    yield _AXES.title(plot.title)
    for count in counts:
        if count == round(count):
            yield _AXES.level(plot.y(count), brief(count), "soft y")
    for tick in ticks:
        yield (
            f'<path class="tick" d="M{plot.x(tick):.1f} {TOP + HIGH}v5"/><text class="soft x" '
            f'x="{plot.x(tick):.1f}" y="{TOP + HIGH + 19}" text-anchor="middle">'
            f"{brief(tick)}</text>"
        )
    yield _AXES.lines(plot.axis)


def _bars(plot: Plot) -> Iterator[str]:
    for one in plot.bars:
        for number in np.flatnonzero(one.counts).tolist():
            left, right = plot.x(plot.edges[number]), plot.x(plot.edges[number + 1])
            top = plot.y(one.counts[number])
            said = f"{_bin(plot, number)}: {one.counts[number]:,} {one.says}"
            yield (
                f'<rect class="{one.kind}" x="{left:.1f}" y="{top:.1f}" '
                f'width="{max(right - left - 0.8, 0.5):.1f}" height="{TOP + HIGH - top:.1f}">'
                f"<title>{escape(said)}</title></rect>"
            )


def _mark(plot: Plot) -> Iterator[str]:
    if plot.mark is None:
        return
    at = plot.x(plot.mark[0])
    beside = f'x="{at + 6:.1f}"' if at < LEFT + WIDE * 0.7 else f'x="{at - 6:.1f}" class="end"'
    yield (
        f'<path class="mark" d="M{at:.1f} {TOP - 8}v{HIGH + 8}"/>'
        f'<text {beside} y="{TOP - 2}">{escape(plot.mark[1])}</text>'
    )


def _numbers(plot: Plot) -> str:
    filled = np.flatnonzero(np.sum([one.counts for one in plot.bars], axis=0)).tolist()
    head = "".join(f"<th>{escape(one.says)}</th>" for one in plot.bars)
    rows = "\n".join(
        f"<tr><td>{_bin(plot, number)}</td>"
        + "".join(f"<td>{one.counts[number]:,}</td>" for one in plot.bars)
        + "</tr>"
        for number in filled
    )
    return (
        f'<details><summary>As numbers</summary><div class="wide"><table class="numbers">'
        f"<tr><th>{escape(plot.axis)}</th>{head}</tr>\n{rows}</table></div></details>"
    )


def _bin(plot: Plot, number: int) -> str:
    low, high = plot.edges[number], plot.edges[number + 1]
    if not plot.logarithmic:
        return f"{low:.2f} to {high:.2f}"
    first, last = round(low + 0.5), round(high - 0.5)
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def brief(number: float) -> str:
    """A number of an axis: 20000 is 20k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if unit == 'k' else size):g}{unit}"
    return f"{number:g}"
