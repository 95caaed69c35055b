"""Counts and curves against loops over boxes."""

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.textregions.preview.curve import area_panel, cut_panel, svg, table_rows
from openmofi.textregions.preview.scan import Scan, scan
from openmofi.textregions.rule import TextRule, text_flags
from support.text_previews import InMemory, random_rows, row, square, table_of

RULE = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)
ROWS = random_rows(300)


def scan_of(rule: TextRule = RULE) -> Scan:
    return scan(InMemory(ROWS), rule)


def flags_of(rule: TextRule) -> tuple[np.ndarray, np.ndarray]:
    dropped, large = text_flags(table_of(ROWS), rule)
    return dropped, large


def test_it_drops_what_the_rule_drops() -> None:
    found = scan_of()
    dropped, large = flags_of(RULE)
    assert found.dropped.tolist() == dropped.tolist()
    assert found.with_large.tolist() == large.tolist()
    assert 0 < dropped.sum() < len(ROWS)


def test_counts_add_up_and_the_failed_are_neither_dropped_nor_kept() -> None:
    counts = scan_of().counts()
    seen = counts.pop("seen")
    assert seen == len(ROWS) == sum(counts.values())
    assert counts["failed"] == sum(one["status"] == "failed" for one in ROWS) > 0
    assert list(counts) == ["dropped", "kept", "failed"]


def test_a_failed_picture_with_boxes_counts_as_failed() -> None:
    found = scan(InMemory([row("a", [square(0.9, 0.1)], status="failed"), row("b")]), RULE)
    assert found.counts() == {"seen": 2, "dropped": 0, "kept": 1, "failed": 1}
    assert cut_panel(found).lines[1].shares.max() == 0


def test_statuses_of_later_batches_keep_their_names() -> None:
    statuses = ["ok", "failed", "skipped", "missing_image", "failed", "ok"]
    rows = [row(str(place), status=status) for place, status in enumerate(statuses)]
    counts = scan(InMemory(rows, batch=2), RULE).counts()
    assert counts == {
        "seen": 6, "dropped": 0, "kept": 2, "failed": 2, "missing_image": 1, "skipped": 1,
    }  # fmt: skip


def test_the_curve_equals_the_rule_at_every_cut() -> None:
    looked_at = sum(one["status"] == "ok" for one in ROWS)
    with_large, fitting = cut_panel(scan_of()).lines
    assert {0.0, 0.5, 1.0} <= set(fitting.at.tolist())
    for place in range(0, len(fitting.at), 10):
        rule = RULE.model_copy(update={"min_confidence": float(fitting.at[place])})
        dropped, large = flags_of(rule)
        if rule.min_confidence > 0:
            assert fitting.shares[place] == pytest.approx(dropped.sum() / looked_at)
            assert with_large.shares[place] == pytest.approx((dropped | large).sum() / looked_at)


def test_the_curve_over_areas_equals_the_rule_at_every_limit() -> None:
    looked_at = sum(one["status"] == "ok" for one in ROWS)
    panel = area_panel(scan_of())
    assert panel is not None
    (line,) = panel.lines
    assert 0.2 in line.at
    for place in range(0, len(line.at), 10):
        rule = RULE.model_copy(update={"max_area": float(line.at[place])})
        assert line.shares[place] == pytest.approx(flags_of(rule)[0].sum() / looked_at)
    assert line.shares[0] < line.shares[-1]


def test_a_picture_without_a_fitting_box_is_dropped_at_no_cut() -> None:
    found = scan(InMemory([row("a"), row("b", [square(0.9, 0.5)])]), RULE)
    with_large, fitting = cut_panel(found).lines
    assert fitting.shares.max() == 0
    assert with_large.shares[0] == 0.5


def test_a_box_of_the_very_limit_counts_at_it() -> None:
    rule = RULE.model_copy(update={"max_area": 0.25})
    panel = area_panel(scan(InMemory([row("a", [square(0.9, 0.25)])]), rule))
    assert panel is not None
    (line,) = panel.lines
    assert line.shares[line.at < 0.25].max() == 0
    assert line.shares[line.at >= 0.25].min() == 1


def test_the_table_holds_the_cut_itself() -> None:
    found = scan_of(RULE.model_copy(update={"min_confidence": 0.55}))
    (at_cut,) = [one for one in table_rows(found) if one[0] == 0.55]
    assert at_cut[1] == found.counts()["dropped"]


def test_the_lowest_confidence_recorded_is_known() -> None:
    assert scan(InMemory([row("a", [square(0.25, 0.1)])]), RULE).least == 0.25
    assert scan(InMemory([row("a")]), RULE).least == 1


def test_no_row_is_refused() -> None:
    with pytest.raises(InputError, match="regions in memory holds no picture"):
        scan(InMemory([]), RULE)


@pytest.mark.parametrize("limits", [(0.0, 0.2), (0.0004, 1.0), (0.7, 0.9), (1.0, 1.0)])
def test_any_limits_can_be_drawn(limits: tuple[float, float]) -> None:
    found = scan_of(TextRule(min_area=limits[0], max_area=limits[1]))
    panel = area_panel(found)
    assert (panel is None) == (limits[0] in (0, 1))
    for one in (cut_panel(found), panel):
        if one is not None:
            assert "nan" not in svg(one, "name")
            assert f"{one.mark_says}</text>" in svg(one, "name")


def test_the_cut_is_marked_where_it_lies() -> None:
    panel = cut_panel(scan_of(RULE.model_copy(update={"min_confidence": 0.3})))
    assert float(panel.across(0.3)) == pytest.approx(0.3)
    assert "cut 0.3" in svg(panel, "name")
