"""Scope: openmofi.textregions.views: sizes, places, tiles, one finding a place."""

import numpy as np
import pytest

from openmofi.textregions.boxes import Region, polygon_area
from openmofi.textregions.views import STRIDE, View, distinct, tiles, whole


def box(left: float, top: float, right: float, bottom: float, confidence: float = 0.5) -> Region:
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return Region(np.array(corners, np.float32), confidence)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((320, 240), (0, 0, 320, 240, 320, 256)),  # 240 to the nearest multiple of 32
        ((2000, 1500), (0, 0, 2000, 1500, 960, 704)),  # 720 / 32 = 22.5, to even
        ((1, 1), (0, 0, 32, 32, 32, 32)),
        ((320, 16), (0, 0, 320, 32, 320, 32)),
        ((20, 4000), (0, 0, 134, 4000, 32, 960)),  # 134 x 960 / 4000 = 32.2
    ],
)
def test_a_whole_picture_is_shrunk_never_enlarged_and_padded_if_thin(
    size: tuple[int, int], expected: tuple[int, ...]
) -> None:
    view = whole(*size, limit=960)
    assert (view.left, view.top, view.right, view.bottom, view.width, view.height) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [((320, 240), (640, 480)), ((500, 400), (640, 512)), ((900, 100), (640, 64))],
)
def test_a_closer_look_enlarges_up_to_twice_within_the_limit(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    view = whole(*size, limit=640, enlarged=2)
    assert (view.width, view.height) == expected


def test_padding_is_of_the_mean_colour_and_below_or_right() -> None:
    picture = np.full((16, 40, 3), 90, np.uint8)
    picture[:8] = 110
    pixels = whole(40, 16, limit=960).pixels(picture)
    assert pixels.shape == (32, 32, 3)
    assert pixels[16:].min() == pixels[16:].max() == 100
    assert pixels[0, 0].tolist() == [110] * 3


def test_a_large_picture_is_averaged_not_sampled() -> None:
    picture = np.zeros((2880, 2880, 3), np.uint8)
    picture[::3] = 240
    assert abs(int(whole(2880, 2880, limit=960).pixels(picture)[5, 5, 0]) - 80) < 4


@pytest.mark.parametrize("size", [(1500, 1200), (2000, 1500), (6000, 4000), (9000, 300)])
@pytest.mark.parametrize("most", [1, 4, 16])
def test_tiles_cover_the_picture_and_are_not_too_many(size: tuple[int, int], most: int) -> None:
    found = tiles(*size, limit=960, most=most)
    assert len(found) <= most
    seen = np.zeros(size[::-1], bool)
    for view in found:
        assert view.is_tile
        assert max(view.width, view.height) <= 960
        assert min(view.width, view.height) >= STRIDE
        seen[view.top : view.bottom, view.left : view.right] = True
    assert seen.all() or not found


def test_tiles_of_a_picture_not_much_larger_than_the_limit_win_nothing() -> None:
    assert tiles(1400, 900, limit=960, most=16) == []
    assert tiles(1500, 900, limit=960, most=16) != []
    assert tiles(1500, 900, limit=960, most=0) == []


def test_neighbouring_tiles_share_more_than_a_word() -> None:
    first, second = tiles(1700, 900, limit=960, most=16)
    assert (first.left, second.right) == (0, 1700)
    assert first.right - second.left >= 120
    assert first.width == first.right - first.left  # not shrunk


def test_a_region_is_placed_where_it_stands_in_the_picture() -> None:
    picture = np.zeros((1000, 2000, 3), np.uint8)
    view = View(left=1000, top=200, right=1400, bottom=600, width=200, height=200)
    placed = view.placed(box(10, 20, 50, 60, 0.7), picture)
    assert placed is not None
    assert placed.corners.tolist() == box(1020, 240, 1100, 320).corners.tolist()
    assert placed.confidence == 0.7


def test_a_region_in_the_padding_alone_is_none() -> None:
    view = whole(40, 16, limit=960)
    assert view.placed(box(0, 20, 32, 30), np.zeros((16, 40, 3), np.uint8)) is None


def test_what_is_large_in_a_tile_is_left_to_the_whole_picture() -> None:
    picture = np.zeros((960, 960, 3), np.uint8)
    tile, part = (View(0, 0, 96, 96, 96, 96, is_tile=one) for one in (True, False))
    assert tile.placed(box(0, 0, 96, 30), picture) is None
    assert tile.placed(box(0, 0, 96, 20), picture) is not None
    assert part.placed(box(0, 0, 96, 96), picture) is not None


def test_only_tiles_cut() -> None:
    view = View(0, 0, 96, 96, 96, 96, is_tile=True)
    assert view.cuts(box(1, 20, 40, 40))
    assert view.cuts(box(20, 20, 95, 40))
    assert not view.cuts(box(20, 20, 40, 40))
    assert not View(0, 0, 96, 96, 96, 96).cuts(box(0, 20, 40, 40))


def test_one_place_is_kept_once_by_the_surer_finding() -> None:
    regions = [box(0, 0, 100, 20, 0.6), box(5, 1, 104, 22, 0.9), box(0, 50, 100, 70, 0.1)]
    assert distinct(regions, [False] * 3) == [1, 2]


def test_a_piece_of_a_word_goes_however_sure_it_is() -> None:
    regions = [box(60, 0, 100, 20, 0.95), box(0, 0, 100, 20, 0.6)]
    assert distinct(regions, [True, False]) == [1]


def test_a_word_inside_a_whole_object_stays() -> None:
    regions = [box(0, 0, 400, 300, 0.9), box(20, 20, 60, 40, 0.6)]
    assert distinct(regions, [False, False]) == [0, 1]


def test_findings_equal_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(0)
    regions, cut = [], []
    for _ in range(60):
        x, y = rng.uniform(0, 100, 2)
        regions.append(box(x, y, x + rng.uniform(5, 30), y + rng.uniform(5, 30), rng.random()))
        cut.append(bool(rng.random() < 0.3))

    def shared(one: Region, other: Region) -> float:
        low = np.maximum(one.corners.min(axis=0), other.corners.min(axis=0))
        high = np.minimum(one.corners.max(axis=0), other.corners.max(axis=0))
        return float(np.prod(np.maximum(high - low, 0)))

    kept: list[int] = []
    for n in sorted(range(60), key=lambda n: (cut[n], -regions[n].confidence)):
        area = polygon_area(regions[n].corners)
        if not any(
            shared(regions[n], regions[k]) >= 0.5 * area
            and (cut[n] or polygon_area(regions[k].corners) <= 4 * area)
            for k in kept
        ):
            kept.append(n)
    assert distinct(regions, cut) == sorted(kept)
    assert 10 < len(kept) < 60
