"""Boxes in the right place and of the right kind."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw

from openmofi.textregions.preview.curve import cut_panel
from openmofi.textregions.preview.drawing import draw_marks, draw_panel, fitted, length, line
from openmofi.textregions.preview.marks import STYLES, Mark, marks_of, shown
from openmofi.textregions.preview.scan import scan
from openmofi.textregions.preview.source import Regions, regions_of
from openmofi.textregions.rule import TextRule, text_flags
from support.text_previews import Found, InMemory, random_rows, row, square, table_of

RULE = TextRule(min_confidence=0.5, min_area=0.001, max_area=0.2)


def regions(boxes: Sequence[Found], size: tuple[int, int] = (100, 100)) -> Regions:
    (found,) = regions_of(table_of([row("a", boxes, size=size)]), 0)
    return found


def where(picture: Image.Image, colour: str) -> np.ndarray:
    """[height, width] pixels of that very colour."""
    return (np.asarray(picture) == ImageColor.getrgb(colour)).all(2)


def drawn(boxes: Sequence[Found], size: tuple[int, int], small: tuple[int, int]) -> Image.Image:
    copy = Image.new("RGB", small, "black")
    draw_marks(copy, marks_of(regions(boxes, size), RULE), *size)
    return copy


def test_a_box_is_drawn_on_its_edges_and_nowhere_else() -> None:
    # 400 x 200 pixels, shown at half the size: edges at 50, 20 and 110, 60.
    picture = drawn([Found(0.9, (100, 40, 220, 120))], (400, 200), (200, 100))
    pixels = where(picture, STYLES["decides"].colour)
    down, across = np.nonzero(pixels)
    assert (across.min(), across.max()) == (48, 110)
    assert (down.min(), down.max()) == (18, 60)
    assert pixels[18:22, 60:100].any(0).all()
    assert pixels[30:50, 48:52].any(1).all()
    inside = np.asarray(picture)[25:55, 55:105]
    outside = np.asarray(picture)[:14]
    assert not inside.any()
    assert not outside.any()


def test_a_copy_of_another_shape_moves_the_box_along() -> None:
    # Rounded copies of thin pictures have not quite their shape; here it is far off.
    picture = drawn([Found(0.9, (0, 0, 40, 40))], (100, 100), (200, 40))
    down, across = np.nonzero(where(picture, STYLES["decides"].colour))
    assert 78 <= across.max() <= 81
    assert 14 <= down.max() <= 17


def test_width_and_height_are_not_mixed_up() -> None:
    picture = drawn([Found(0.9, (0, 800, 30, 900))], (100, 1000), (20, 200))
    down, across = np.nonzero(where(picture, STYLES["decides"].colour))
    assert down.min() >= 157
    assert across.max() <= 8


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        (square(0.9, 0.1), "decides"),
        (square(0.5, 0.1), "decides"),
        (square(0.4, 0.1), "below"),
        (square(0.9, 0.3), "large"),
        (square(0.9, 0.0005), "small"),
    ],
)
def test_kinds_differ_in_colour_and_in_pattern(box: Found, kind: str) -> None:
    (mark,) = marks_of(regions([box]), RULE)
    assert mark.kind == kind
    picture = drawn([box], (100, 100), (100, 100))
    assert where(picture, STYLES[kind].colour).any()
    others = [style for name, style in STYLES.items() if name != kind]
    assert not any(where(picture, style.colour).any() for style in others)
    assert STYLES[kind].dashes not in [style.dashes for style in others]
    upper = where(picture, STYLES[kind].colour)[:4, 6:-6].any(0)
    edge = upper[: int(box.corners[2]) - 6]
    assert edge.all() == (not STYLES[kind].dashes)


def test_a_pattern_leaves_gaps_and_goes_on_around_corners() -> None:
    picture = Image.new("RGB", (40, 40))
    draw = ImageDraw.Draw(picture)
    line(draw, [(0, 5), (25, 5), (25, 39)], "#ffffff", 1, (10, 10))
    pixels = np.asarray(picture)[:, :, 0] > 0
    assert pixels[5, 0:10].all()
    assert not pixels[5, 12:19].any()
    assert pixels[5, 20:25].all()
    # Five of the ten pixels that are on are left for the other edge.
    assert pixels[6:10, 25].all()
    assert not pixels[12:19, 25].any()
    assert pixels[20:30, 25].all()


def test_the_compared_box_is_the_surest_of_a_fitting_area() -> None:
    boxes = [square(0.3, 0.1), square(0.99, 0.5), square(0.7, 0.05), square(0.8, 0.0001)]
    marks = marks_of(regions(boxes), RULE)
    assert [round(mark.confidence, 2) for mark in marks] == [0.7, 0.3, 0.99, 0.8]
    assert [mark.compared for mark in marks] == [True, False, False, False]
    assert not any(mark.compared for mark in marks_of(regions([square(0.9, 0.5)]), RULE))


def test_a_box_of_the_very_limits_fits() -> None:
    rule = TextRule(min_confidence=0.5, min_area=0.0625, max_area=0.25)
    for area in (0.0625, 0.25):
        (mark,) = marks_of(regions([square(0.9, area)]), rule)
        assert (mark.area, mark.kind) == (area, "decides")


def test_kinds_agree_with_the_rule() -> None:
    rows = [one for one in random_rows(300, seed=5) if one["status"] == "ok"]
    dropped, large = text_flags(table_of(rows), RULE)
    marks = [marks_of(one, RULE) for one in regions_of(table_of(rows), 0)]
    assert [any(m.kind == "decides" for m in one) for one in marks] == dropped.tolist()
    assert [any(m.kind == "large" and m.sure for m in one) for one in marks] == large.tolist()
    assert [bool(one and one[0].compared and one[0].sure) for one in marks] == dropped.tolist()


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.5, "0.500"), (0.49996, "0.49996"), (0.5004, "0.5004"), (0.4, "0.400"), (0.9999, "1.000")],
)
def test_a_confidence_never_reads_like_the_cut_that_it_misses(confidence: float, said: str) -> None:
    assert shown(confidence, RULE) == said


def test_what_is_on_top_is_the_compared_box() -> None:
    boxes = [square(0.4, 0.1), Found(0.9, (0, 0, 31.6, 31.6))]
    pixels = drawn(boxes, (100, 100), (100, 100))
    assert where(pixels, STYLES["decides"].colour).any()
    assert not where(pixels, STYLES["below"].colour)[5:25, :].any()


def test_lines_of_text_are_cut_in_their_middle() -> None:
    said = "a-long-name-of-a-shard/" + 60 * "0" + "-and-its-end"
    short = fitted(said, 14, 180)
    assert length(short, 14) <= 180
    assert short.startswith("a-long")
    assert short.endswith("-end")
    assert fitted("short", 14, 180) == "short"
    assert length("two\nlines", 14) > 0


def test_the_curve_of_the_sheet_falls_where_it_should() -> None:
    rows = [row(str(n), [square(0.6, 0.1)] if n < 5 else []) for n in range(10)]
    sheet = Image.new("RGB", (760, 300), "white")
    draw_panel(ImageDraw.Draw(sheet), cut_panel(scan(InMemory(rows), RULE)), (0, 0, 760, 300))
    pixels = where(sheet, "#0072b2")[:, 64:]
    wide, top, high = 760 - 64 - 12, 34, 300 - 34 - 46
    # Half are dropped up to 0.6, none from there on; the upper edge is 60 %.
    levels = {round(np.nonzero(pixels[:, int(wide * at)])[0].mean()) for at in (0.1, 0.3, 0.45)}
    assert all(abs(level - (top + high / 6)) < 3 for level in levels)
    late = np.nonzero(pixels[100:, int(wide * 0.8)])[0].mean() + 100
    assert abs(late - (top + high)) < 3


def test_a_mark_keeps_both_confidences() -> None:
    (mark,) = marks_of(regions([square(0.25, 0.1, detector=0.75)]), RULE)
    assert isinstance(mark, Mark)
    assert (mark.confidence, mark.detector_confidence) == (0.25, 0.75)
