"""The score of links against a slow twin, and its intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.scores import counts, gold_line, link, scored_lines

CAPTION = "abcdefgh"
SPANS = [(start, end) for start in range(8) for end in range(start + 1, 9)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    gold, rows = [], []
    ids = st.lists(st.sampled_from("pqr"), min_size=1, max_size=2)
    for key in "0123"[: draw(st.integers(1, 4))]:
        cuts = draw(st.lists(st.integers(0, 8), unique=True, max_size=6).map(sorted))
        spans = [CAPTION[a:b] for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
        gold.append(gold_line(key, CAPTION, [(x, draw(ids), draw(st.booleans())) for x in spans]))
        likely = [(CAPTION.index(x), CAPTION.index(x) + len(x)) for x in spans] + SPANS[:4]
        for a, b in draw(st.lists(st.sampled_from(likely), unique=True)):
            for rank in range(draw(st.integers(1, 3))):
                score = draw(st.integers(0, 64)) / 64
                row = link(key, CAPTION, CAPTION[a:b], draw(st.sampled_from("pqr")), rank, score)
                rows.append(row)
    return gold, [*rows, link("0", CAPTION, CAPTION, "p", 1, 0)]


def twin(gold: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, float]:
    n = dict.fromkeys(["gold", "predicted", "found", "right", "among", "brier"], 0.0)
    n["predicted"] = sum(row["rank"] == 0 for row in rows)
    for line in gold:
        for one in line["mentions"]:
            n["gold"] += 1
            here = [
                row
                for row in rows
                if (row["key"], row["start"], row["end"]) == (line["key"], one["start"], one["end"])
            ]
            n["among"] += any(row["entity_id"] in one["ids"] for row in here)
            for row in here:
                if row["rank"] == 0:
                    is_right = row["entity_id"] in one["ids"]
                    n["found"] += 1
                    n["right"] += is_right
                    n["brier"] += (row["score"] - is_right) ** 2
    return n


@settings(max_examples=60, deadline=None)
@given(cases())
def test_figures_are_those_of_the_twin(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[Any, Any]
) -> None:
    score = scored_lines(tmp_path_factory.getbasetemp(), *case)
    n, every = twin(*case), score.all
    assert counts(every.precision) == (n["found"], n["predicted"])
    assert counts(every.recall) == (n["found"], n["gold"])
    assert counts(every.links) == (n["right"], n["gold"])
    assert counts(every.candidate_recall) == (n["among"], n["gold"])
    if n["found"]:
        assert score.calibration.brier == pytest.approx(n["brier"] / n["found"])
    assert sum(one.count for one in score.calibration.bins) == n["found"]
    # No table of so few kinds is cut: the counts are of all.
    assert sum(one.count for one in score.confusions) == n["found"] - n["right"]
    assert sum(one.count for one in score.spurious) == n["predicted"] - n["found"]
    assert sum(one.count for one in score.missed) == n["gold"] - n["found"]


# Intervals.


def many(captions: int) -> tuple[list[Any], list[Any]]:
    """Captions of one to three mentions, of which about two thirds are right."""
    rng = np.random.default_rng(captions)
    gold, rows = [], []
    for key in map(str, range(captions)):
        words = ["ape", "bee", "cat"][: int(rng.integers(1, 4))]
        gold.append(gold_line(key, " ".join(words), [(word, ["x"], False) for word in words]))
        wrong = rng.random(len(words)) > 0.67
        rows += [
            link(key, " ".join(words), word, "y" if bad else "x")
            for word, bad in zip(words, wrong, strict=True)
        ]
    return gold, rows


def test_intervals_hold_the_value_shrink_and_repeat(tmp_path: Path) -> None:
    few, more = (scored_lines(tmp_path, *many(captions)).all.links for captions in (40, 640))
    assert scored_lines(tmp_path, *many(40)).all.links == few
    widths = []
    for rate in (few, more):
        assert rate.low is not None
        assert rate.high is not None
        assert rate.value is not None
        assert 0 < rate.low < rate.value < rate.high < 1
        widths.append(rate.high - rate.low)
    # Sixteen times the captions: a quarter of the width.
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)


def test_an_interval_is_that_of_captions_drawn_one_by_one(tmp_path: Path) -> None:
    gold, rows = many(50)
    rate = scored_lines(tmp_path, gold, rows).all.links
    sizes = np.array([len(line["mentions"]) for line in gold])
    right = np.array(
        [sum(r["key"] == line["key"] and r["entity_id"] == "x" for r in rows) for line in gold]
    )
    rng = np.random.default_rng(0)
    drawn = [rng.integers(50, size=50) for _ in range(1000)]
    ratios = [right[one].sum() / sizes[one].sum() for one in drawn]
    assert (rate.low, rate.high) == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])))
