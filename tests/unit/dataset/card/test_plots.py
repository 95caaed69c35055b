"""Charts: their bars and ticks stand where the numbers say."""

import re

import numpy as np
import pytest

from openmofi.dataset.card import plots
from openmofi.dataset.card.plots import HIGH, LEFT, TOP, WIDE, Bars, Plot
from support.card_pages import Page

BASE = TOP + HIGH


def ticks(page: str, axis: str) -> list[tuple[float, str]]:
    """Place and words of an axis' ticks."""
    found = re.findall(rf'class="soft {axis}" x="([^"]*)" y="([^"]*)"[^>]*>([^<]*)<', page)
    return [(float(x if axis == "x" else y), said) for x, y, said in found]


@pytest.mark.parametrize("seed", range(6))
def test_log_bins_hold_what_numpy_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = np.unique(rng.zipf(1.5, 500) % 5000 + rng.integers(1, 20))
    times = rng.integers(1, 50, len(sizes))
    edges, counts = plots.count_bins(sizes, times)
    assert counts.sum() == times.sum()
    assert min(counts[0], counts[-1]) > 0
    assert edges[0] <= sizes.min() <= sizes.max() <= edges[-1]
    for number in range(len(counts)):
        inside = [
            t for s, t in zip(sizes, times, strict=True) if edges[number] < s < edges[number + 1]
        ]
        assert counts[number] == sum(inside)
    assert (edges % 1 == 0.5).all()  # so that no whole number stands at an edge


def test_every_bar_of_a_log_chart_stands_where_its_numbers_are() -> None:
    values, times = np.array([1, 2, 3, 9, 70]), np.array([1, 10, 100, 3, 2])
    edges, counts = plots.count_bins(values, times)
    drawing = plots.svg(Plot("t", "a", edges, [Bars(counts, "kept", "things")], True), "name")
    bars = Page(drawing).attributes("rect")
    assert len(bars) == np.count_nonzero(counts)
    low, high = np.log(edges[[0, -1]])
    for number, bar in zip(np.flatnonzero(counts), bars, strict=True):
        left = LEFT + WIDE * (np.log(edges[number]) - low) / (high - low)
        assert float(bar["x"] or 0) == pytest.approx(left, abs=0.06)
        height = HIGH * np.log(counts[number] / 0.6) / np.log(100 / 0.6)
        assert float(bar["height"] or 0) == pytest.approx(height, abs=0.06)
        assert float(bar["y"] or 0) + float(bar["height"] or 0) == pytest.approx(BASE, abs=0.11)
    words = Page(drawing).words
    assert {"1: 1 things", "64 to 90: 2 things"} <= set(words)


def test_ticks_of_a_log_chart_stand_at_their_numbers() -> None:
    values, times = np.array([1, 7, 3000]), np.array([20_000, 3, 1])
    edges, counts = plots.count_bins(values, times)
    plot = Plot("t", "a", edges, [Bars(counts, "kept", "things")], True)
    drawing = plots.svg(plot, "name")
    across = ticks(drawing, "x")
    assert [said for _, said in across] == ["1", "10", "100", "1000"]
    low, high = np.log(edges[[0, -1]])
    for place, said in across:
        assert place == pytest.approx(
            LEFT + WIDE * (np.log(float(said)) - low) / (high - low), abs=0.06
        )
    up = ticks(drawing, "y")
    assert [said for _, said in up] == ["1", "10", "100", "1000", "10k"]
    for (place, _), count in zip(up, (1, 10, 100, 1000, 10_000), strict=True):
        height = HIGH * np.log(count / 0.6) / np.log(20_000 / 0.6)
        assert place == pytest.approx(BASE - height + 4.5, abs=0.06)


def test_a_histogram_is_drawn_from_its_first_filled_bin_to_its_last_and_the_cut() -> None:
    counts = np.array([0, 0, 4, 2, 0, 1, 0, 0, 0, 0])
    some = np.array([0, 0, 0, 1, 0, 1, 0, 0, 0, 0])
    edges, shown = plots.filled_bins(
        np.linspace(-1, 1, 11), [Bars(counts, "all", "all"), Bars(some, "kept", "kept")], -0.5
    )
    drawing = plots.svg(Plot("t", "cosine", edges, shown, mark=(-0.5, "cut -0.5")), "name")
    page = Page(drawing)
    assert "cut -0.5" in page.words
    found = [(a["class"], float(a["height"] or 0)) for a in page.attributes("rect")]
    assert found == [
        ("all", HIGH), ("all", HIGH / 2), ("all", pytest.approx(HIGH / 4, abs=0.06)),
        ("kept", pytest.approx(HIGH / 4, abs=0.06)), ("kept", pytest.approx(HIGH / 4, abs=0.06)),
    ]  # fmt: skip
    # Bin 1 starts at -0.8 and bin 6 ends at 0.4: 1.2 units.
    (line,) = [a for a in page.attributes("path") if a["class"] == "mark"]
    at = float(re.match(r"M([\d.]+) ", line["d"] or "")[1])  # type: ignore[index]
    assert at == pytest.approx(LEFT + WIDE * 0.3 / 1.2, abs=0.06)
    for place, said in ticks(drawing, "x"):
        assert place == pytest.approx(LEFT + WIDE * (float(said) + 0.8) / 1.2, abs=0.06)
    assert [said for _, said in ticks(drawing, "y")] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7), (-0.23, 0.61), (0, 123456)])
def test_round_ticks_lie_within_and_are_few(low: float, high: float) -> None:
    found = plots.round_ticks(low, high, 8)
    assert 3 <= len(found) <= 10
    assert low - 1e-9 <= found[0] < found[-1] <= high + 1e-9
    assert np.ptp(np.diff(found)) < 1e-6
