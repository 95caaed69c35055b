"""Words that benchmarks/text_words.py draws: place, size, contrast, and how they are dealt."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.text_words import (
    LETTERS,
    TEXTS,
    Style,
    contrast_ratio,
    deck,
    draw_word,
    kind,
    lab,
    size_for_width,
    visibility,
)
from support.fonts import FONT, needs_font


@needs_font
@pytest.mark.parametrize("angle", [0, 10, -20, 45, -60, 90, -90, 180])
@pytest.mark.parametrize("outline", [False, True])
def test_the_polygon_holds_the_ink_and_no_more(angle: int, outline: bool):
    style = Style(FONT, 32, angle, "white", outline, "anywhere")
    ground = Image.new("RGB", (320, 240), (90, 90, 90))
    drawn = draw_word(ground, "Hxgarden", style, random.Random(angle))
    assert drawn is not None
    changed = np.abs(np.asarray(drawn.image).astype(int) - 90).max(axis=2) > 40
    y, x = (places + 0.5 for places in np.nonzero(changed))
    # In the word's own axes the ink reaches all four sides, and no further.
    first, second, _, last = drawn.polygon
    for axis in (second - first, last - first):
        length = np.linalg.norm(axis)
        places = (np.stack([x, y], axis=1) - first) @ axis / length
        assert places.min() == pytest.approx(0, abs=1.5)
        assert places.max() == pytest.approx(length, abs=1.5)


@needs_font
def test_the_first_corner_is_the_words_top_left():
    ground = Image.new("RGB", (200, 200))
    style = Style(FONT, 24, 90, "white", False, "middle")
    drawn = draw_word(ground, "water", style, random.Random(0))
    assert drawn is not None
    (x0, y0), (x1, y1) = drawn.polygon[:2]
    assert y0 > y1 + 40  # against the clock: reading goes upwards
    assert x0 == pytest.approx(x1, abs=1e-6)


@needs_font
def test_a_word_without_room_is_not_drawn():
    style = Style(FONT, 64, 0, "white", False, "middle")
    assert draw_word(Image.new("RGB", (100, 100)), "strawberry", style, random.Random(0)) is None


@needs_font
def test_places_are_the_middle_and_the_edges():
    ground = Image.new("RGB", (200, 100))
    for seed in range(8):
        edge = Style(FONT, 16, 0, "white", False, "edge")
        drawn = draw_word(ground, "road", edge, random.Random(seed))
        assert drawn is not None
        low, high = drawn.polygon.min(axis=0), drawn.polygon.max(axis=0)
        assert min(*low, 200 - high[0], 100 - high[1]) < 1.5
    drawn = draw_word(ground, "road", edge._replace(place="middle"), random.Random(0))
    assert drawn is not None
    assert drawn.polygon.mean(axis=0) == pytest.approx([100, 50], abs=1)


@needs_font
def test_the_size_for_a_width_is_the_greatest_that_fits():
    ground = Image.new("RGB", (400, 200))
    for width in (100, 250.5, 300):
        size = size_for_width("garden", FONT, width)
        wide = []
        for one in (size, size + 1):
            style = Style(FONT, one, 0, "white", False, "middle")
            drawn = draw_word(ground, "garden", style, random.Random(0))
            assert drawn is not None
            wide.append(np.ptp(drawn.polygon[:, 0]))
        assert wide[0] <= width < wide[1]


@needs_font
def test_kinds_of_fonts_follow_their_names():
    folder = Path(FONT).parent
    names = {
        "DejaVuSans.ttf": "sans",
        "DejaVuSans-BoldOblique.ttf": "sans italic",
        "DejaVuSerif-Bold.ttf": "serif bold",
        "DejaVuSansMono.ttf": "mono",
        "DejaVuSansCondensed.ttf": "narrow",
    }
    found = {name: kind(str(folder / name)) for name in names if (folder / name).is_file()}
    assert found == {name: names[name] for name in found}


def test_contrast_is_that_of_wcag():
    black, white, red = (np.array(one) for one in ((0, 0, 0), (255, 255, 255), (255, 0, 0)))
    assert contrast_ratio(black, white) == pytest.approx(21)
    assert contrast_ratio(red, black) == pytest.approx((0.2126 + 0.05) / 0.05)
    assert contrast_ratio(np.array([119] * 3), white) == pytest.approx(4.48, abs=0.01)


def test_lab_of_known_colours():
    assert lab(np.array([255, 255, 255])) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(np.array([255, 0, 0])) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


@needs_font
@pytest.mark.parametrize(
    ("ground", "colour", "outline", "seen"),
    [
        ((0, 0, 0), "black", False, "faint"),
        ((30, 30, 30), "black", False, "faint"),
        ((0, 0, 0), "black", True, "clear"),
        ((255, 255, 255), "black", False, "clear"),
        ((124, 124, 124), "red", False, "colour"),
        ((255, 255, 255), "white", True, "clear"),
        ((20, 20, 20), "white", True, "clear"),  # its black outline is lost there, the ink is not
    ],
)
def test_what_an_eye_can_see(ground, colour, outline, seen):
    style = Style(FONT, 24, 0, colour, outline, "middle")
    drawn = draw_word(Image.new("RGB", (200, 100), ground), "city", style, random.Random(0))
    assert drawn is not None
    assert drawn.seen == seen


def test_the_median_of_the_pixels_beneath_decides():
    dark, bright = np.zeros((40, 3), np.uint8), np.full((60, 3), 255, np.uint8)
    contrast, difference = visibility(np.concatenate([dark, bright]), "black", False)
    assert contrast == pytest.approx(21)
    assert difference == pytest.approx(100, abs=0.1)
    contrast, _ = visibility(np.concatenate([bright, dark, dark]), "black", False)
    assert contrast == pytest.approx(1)


def test_a_deck_deals_each_card_as_often():
    cards = deck("abc", random.Random(0))
    dealt = [next(cards) for _ in range(12)]
    assert [sorted(dealt[at : at + 3]) for at in range(0, 12, 3)] == [["a", "b", "c"]] * 4


def test_words_have_three_to_ten_letters_and_letters_are_all():
    assert all(word.isalpha() and 3 <= len(word) <= 10 for word in TEXTS)
    assert len(set(TEXTS)) == len(TEXTS)
    assert len(set(LETTERS)) == 52
