"""Trials of benchmarks/text_rendering.py: their plan, when a word is found, rows and counts."""

import io
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from benchmarks import text_rendering
from benchmarks.text_labels import Photo, read_photos
from benchmarks.text_rendering_report import counts, parts, tables
from benchmarks.text_trials import Trial, Trials, exact_attack, is_word, judge, overlap
from benchmarks.text_words import ANGLES, SIZES, Style
from openmofi.evaluation.typographic import attack_jpeg, load_font
from openmofi.shards import write_tar
from openmofi.textregions.boxes import Box
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.rule import TextRule
from support.fonts import FONT, needs_font

RULE = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)


def box(x: float, y: float, width: float, height: float, confidence: float = 0.9) -> Box:
    corners = (x, y, x + width, y, x + width, y + height, x, y + height)
    return Box(corners, confidence, confidence)


def corners(one: Box) -> np.ndarray:
    return np.reshape(one.polygon, (4, 2))


def turned(width: float, height: float, degrees: float, centre: tuple[float, float]) -> np.ndarray:
    turn = math.radians(degrees)
    points = [(-width, -height), (width, -height), (width, height), (-width, height)]
    return np.array(
        [
            (
                centre[0] + (x * math.cos(turn) - y * math.sin(turn)) / 2,
                centre[1] + (x * math.sin(turn) + y * math.cos(turn)) / 2,
            )
            for x, y in points
        ]
    )


def inside(polygon: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie in a convex polygon: on one side of all its sides."""
    sides = [
        (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
        for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True)
    ]
    return np.all(np.array(sides) >= 0, axis=0) | np.all(np.array(sides) <= 0, axis=0)


# Found or not.


@pytest.mark.parametrize("backwards", [False, True])
def test_overlap_is_the_area_that_points_of_a_grid_share(backwards: bool):
    draw = np.random.default_rng(0)
    y, x = np.mgrid[0:100:0.25, 0:100:0.25] + 0.125
    for _ in range(12):
        one, other = (
            turned(*draw.uniform(5, 60, 2), draw.uniform(0, 360), tuple(draw.uniform(40, 60, 2)))
            for _ in range(2)
        )
        counted = (inside(one, x, y) & inside(other, x, y)).sum() / 16
        found = overlap(one, other[::-1] if backwards else other)
        assert found == pytest.approx(counted, abs=8)
        assert overlap(other, one) == pytest.approx(found)


def test_overlap_of_boxes_apart_or_that_touch_is_nothing():
    one = corners(box(0, 0, 10, 10))
    assert overlap(one, corners(box(20, 0, 5, 5))) == 0
    assert overlap(one, corners(box(10, 0, 5, 10))) == pytest.approx(0)
    assert overlap(one, corners(box(2, 2, 3, 3))) == pytest.approx(9)


def test_a_box_is_the_words_if_it_covers_half_and_is_six_times_as_large_at_most():
    word = corners(box(100, 100, 40, 10))
    assert is_word(corners(box(100, 100, 20, 10)), word)
    assert not is_word(corners(box(100, 100, 19.9, 10)), word)
    assert is_word(corners(box(100, 100, 40, 60)), word)
    assert not is_word(corners(box(100, 100, 40, 60.1)), word)


def test_judge_counts_only_boxes_within_the_limits():
    size = (100, 100)
    word = corners(box(10, 10, 40, 10))

    def said(one: Box, confidence: float) -> tuple[bool, bool, bool]:
        return tuple(judge([replace(one, confidence=confidence)], RULE, size, word))

    good = box(10, 10, 40, 10)
    assert said(good, 0.5) == (True, False, True)
    assert said(good, 0.49) == (False, False, False)
    assert said(box(60, 60, 30, 10), 0.9) == (True, False, False)  # flagged, but not for the word
    assert said(box(10, 10, 3, 3), 0.9) == (False, False, False)  # 0.09 %
    assert said(box(10, 10, 40, 50), 0.9)[:2] == (True, False)  # 20 %, as float32
    assert said(box(10, 10, 40, 51), 0.9) == (False, True, False)


# The plan and its rows.


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    sink = io.BytesIO()
    Image.new("RGB", (320, 240), (120, 130, 140)).save(sink, format="JPEG")
    write_tar(tmp_path / "00000.tar", [("0001", {"jpg": sink.getvalue(), "txt": b"grey cat\n"})])
    return read_photos(tmp_path)["00000", "0001"]


def options(**changed: int) -> SimpleNamespace:
    return SimpleNamespace(**{"each": 3, "letters": 2, "filling": 4, "seed": 0, **changed})


def test_the_plan_fills_every_cell_alike_and_again(photo: Photo):
    made = list(text_rendering.plan([photo], ["font"], options()))
    cells = {(size, angle): 0 for size in SIZES for angle in ANGLES}
    for one in made:
        if one.group == "words":
            assert one.style is not None
            cells[one.style.size, abs(one.style.angle)] += 1
    assert set(cells.values()) == {3}
    groups = [one.group for one in made]
    assert [groups.count(one) for one in ("letters", "filling")] == [2 * 64, 4]
    assert list(text_rendering.plan([photo], ["font"], options())) == made
    assert list(text_rendering.plan([photo], ["font"], options(seed=1))) != made


def test_an_attack_writes_another_photographs_name(photo: Photo):
    names = ("tabby cat", "tiger cat", "tabby cat")
    made = list(text_rendering.attacks([photo._replace(caption=name) for name in names]))
    assert [one.texts[0] for one in made] == ["tiger cat", "tabby cat", "tiger cat"] * 2


@needs_font
def test_the_attack_at_fifty_pixels_is_the_modules_where_that_does_not_shrink():
    font = load_font(FONT)
    large, small = (Image.new("RGB", size, (50, 90, 50)) for size in ((320, 240), (320, 160)))
    assert exact_attack(large, "gondola", font) == attack_jpeg(large, "gondola", font)
    assert exact_attack(small, "gondola", font) != attack_jpeg(small, "gondola", font)
    pixels = np.asarray(Image.open(io.BytesIO(exact_attack(small, "gondola", font)))).astype(int)
    red = np.nonzero((pixels[..., 0] > 150) & (pixels[..., 1] < 60))
    assert red[0].max() > 50 + 40  # at 50 pixels the g hangs below


class Fixed:
    """A detector that says the same of every picture."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes = list(boxes)

    def detect(self, image: Image.Image) -> list[Box]:
        assert image.mode == "RGB"
        return self.boxes


def job(boxes: list[Box], alone: list[Box]) -> Trials:
    made = Trials(DetectConfig(), RULE, 0, 90, FONT)
    made.detector, made.alone = Fixed(*boxes), Fixed(*alone)
    return made


@needs_font
def test_a_row_says_what_is_found_with_the_second_look_and_without(photo: Photo):
    style = Style(FONT, 32, 0, "black", False, "middle")
    around, away = box(100, 100, 120, 40), box(0, 0, 50, 20)
    trial = Trial(0, "words", photo, style, ("chicken",))
    row = job([around], []).run(trial)
    assert (row["flagged"], row["found"], row["large"]) == (True, True, False)
    assert (row["flagged_before"], row["found_before"]) == (False, False)
    assert (row["text"], row["size"], row["seen"], row["kind"]) == ("chicken", 32, "clear", "sans")
    row = job([away], [around]).run(trial)
    assert (row["flagged"], row["found"]) == (True, False)
    assert (row["flagged_before"], row["found_before"]) == (True, True)


@needs_font
def test_a_word_that_fills_the_picture_is_nearly_as_wide(photo: Photo):
    style = Style(FONT, 0, 0, "black", False, "middle")
    for number in range(4):
        row = job([], []).run(Trial(number, "filling", photo, style, ("hospital", "sun")))
        wide = np.ptp(np.reshape(row["polygon"], (4, 2))[:, 0])
        assert 0.78 * 320 <= wide <= 320


@needs_font
def test_a_trial_without_room_is_told(photo: Photo):
    style = Style(FONT, 64, 0, "black", False, "middle")
    row = job([], []).run(Trial(0, "words", photo, style, ("strawberry strawberry",)))
    assert row["room"] is False
    assert "flagged" not in row


def word_row(**changed: object) -> dict[str, object]:
    row = {"group": "words", "room": True, "size": 16, "angle": 10, "seen": "clear"}
    row |= {"kind": "sans", "font": "a.ttf", "colour": "red", "outline": False, "place": "middle"}
    row |= dict.fromkeys(("flagged", "found", "large", "flagged_before"), False)
    row |= {"found_before": False, "polygon": [0] * 8}
    row |= {"plain_large": False, "plain_flagged_before": False}
    return row | changed


def test_faint_words_and_words_without_room_are_apart():
    rows = [
        word_row(flagged=True),
        word_row(seen="colour"),
        word_row(seen="faint"),
        {"group": "words", "room": False},
        word_row(size=10, flagged=True),
        word_row(angle=45, flagged=True),
        word_row(angle=30),
        word_row(group="letters", flagged=True),
    ]
    made = parts(rows)
    assert counts(made["upright"], "flagged") == (1, 2)
    assert counts(made["upright, contrast 1.5 or more"], "flagged") == (1, 1)
    assert counts(made["sloped"], "flagged") == (1, 1)
    assert counts(made["30°"], "flagged") == (0, 1)
    assert counts(made["10 px, 0 to 20°"], "flagged") == (1, 1)
    assert counts(made["too faint to see"], "flagged") == (0, 1)
    assert counts(made["one letter, 0 to 20°"], "flagged") == (1, 1)
    assert tables(rows)["no_room"] == {"letters": 0, "words": 1}


def test_what_a_photograph_says_by_itself_is_not_counted():
    rows = [
        word_row(flagged=True, flagged_before=True, plain_flagged_before=True, large=True),
        word_row(flagged_before=True, plain_large=True, large=True),
        word_row(),
    ]
    assert counts(rows, "flagged") == (1, 3)
    assert counts(rows, "flagged_before") == (1, 2)
    assert counts(rows, "large") == (1, 2)
