"""Who is shown: the closest calls first, all others by chance, nobody twice."""

from collections import Counter

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.textregions.preview.choose import Group, check_images, choose
from openmofi.textregions.preview.scan import Scan, scan
from openmofi.textregions.rule import TextRule
from support.text_previews import InMemory, random_rows, row, square

RULE = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)
ROWS = random_rows(400, seed=3)


@pytest.fixture(scope="module")
def scanned() -> Scan:
    return scan(InMemory(ROWS), RULE)


def distance(place: int) -> float:
    """From the cut of the surest box of a fitting area, by a loop."""
    fitting = [
        confidence
        for confidence, area in zip(ROWS[place]["confidences"], ROWS[place]["areas"], strict=True)
        if 0.001 <= area <= 0.2
    ]
    return abs(max(fitting) - 0.5) if fitting else float("inf")


def by_name(groups: list[Group]) -> dict[tuple[str, str], Group]:
    return {(group.side, group.kind): group for group in groups}


@pytest.mark.parametrize("side", ["dropped", "kept"])
def test_the_closest_calls_are_all_there_and_in_order(scanned: Scan, side: str) -> None:
    group = by_name(choose(scanned, 100, 0))[side, "closest"]
    members = np.flatnonzero(getattr(scanned, side)).tolist()
    expected = sorted(map(distance, members))[: len(group.rows)]
    assert [distance(place) for place in group.rows.tolist()] == pytest.approx(expected, abs=1e-7)
    assert set(group.rows.tolist()) <= set(members)
    assert group.of == len(members)
    assert len(group.rows) >= 20


def test_sides_get_the_same_number_and_nobody_is_shown_twice(scanned: Scan) -> None:
    groups = choose(scanned, 100, 0)
    rows = [place for group in groups for place in group.rows.tolist()]
    assert len(rows) == len(set(rows)) == 100
    sides = Counter(group.side for group in groups for _ in group.rows)
    assert abs(sides["dropped"] - sides["kept"]) <= 1
    assert sides["failed"] == 5


def test_pictures_far_from_the_cut_are_drawn_from_all_of_them(scanned: Scan) -> None:
    def others(seed: int) -> list[int]:
        return by_name(choose(scanned, 100, seed))["kept", "others"].rows.tolist()

    assert others(0) == others(0) != others(1)
    seen = {place for seed in range(60) for place in others(seed)}
    group = by_name(choose(scanned, 100, 0))["kept", "others"]
    assert len(seen) > 0.9 * group.of
    assert any(np.isinf(distance(place)) for place in seen)


def test_those_with_a_large_box_have_a_share_of_their_own(scanned: Scan) -> None:
    groups = by_name(choose(scanned, 100, 0))
    large = groups["kept", "large"]
    assert scanned.with_large[large.rows].all()
    assert not scanned.with_large[groups["kept", "others"].rows].any()
    assert 0 < len(large.rows) < large.of
    drawn = [by_name(choose(scanned, 100, seed))["kept", "large"].rows for seed in range(60)]
    assert len(np.unique(np.concatenate(drawn))) > 0.9 * large.of


def test_a_small_source_is_shown_whole(scanned: Scan) -> None:
    groups = choose(scanned, 600, 0)
    rows = sorted(place for group in groups for place in group.rows.tolist())
    # A twentieth for those that failed at most, and here there are fewer.
    assert rows == list(range(len(ROWS)))


def test_a_side_that_is_short_leaves_its_place_to_the_other() -> None:
    rows = [row(str(n), [square(0.9, 0.1)] if n < 3 else []) for n in range(100)]
    groups = choose(scan(InMemory(rows), RULE), 40, 0)
    shown = Counter(group.side for group in groups for _ in group.rows)
    assert shown == {"dropped": 3, "kept": 37}
    assert not len(by_name(groups)["kept", "closest"].rows)


def test_refused_before_is_not_failed() -> None:
    statuses = ["skipped", "failed", "missing_image", "ok"] * 5
    rows = [row(str(n), status=status) for n, status in enumerate(statuses)]
    failed = by_name(choose(scan(InMemory(rows), RULE), 600, 0))["failed", "failed"]
    assert failed.of == len(failed.rows) == 10


@pytest.mark.parametrize("images", [-1, 9, 601])
def test_a_number_no_page_can_show_is_refused(images: int) -> None:
    with pytest.raises(InputError, match=f"--images must be 10 to 600, got {images}"):
        check_images(images)
    check_images(10)
    check_images(600)
