import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.evaluation import typographic_grid
from openmofi.evaluation.config import EvaluateConfig, GridConfig
from openmofi.evaluation.typographic import (
    Writing,
    attack_jpeg,
    choose_targets,
    load_font,
    name_vectors,
)

FONT = load_font("")


def attacked(side, text, colour=(255, 255, 255)):
    image = Image.new("RGB", side, colour)
    return Image.open(io.BytesIO(attack_jpeg(image, text, FONT)))


def red_box(picture):
    pixels = np.asarray(picture).astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 120) & (pixels[..., 2] < 120)
    rows, columns = np.nonzero(red)
    return rows.min(), columns.min(), rows.max(), columns.max()


def test_photographs_get_the_papers_drawing_exactly():
    image = Image.effect_noise((320, 240), 40).convert("RGB")
    drawn = image.copy()
    ImageDraw.Draw(drawn).text((50, 50), "plate", fill=(255, 0, 0), font=ImageFont.load_default(50))
    expected = io.BytesIO()
    drawn.save(expected, format="JPEG")
    assert attack_jpeg(image, "plate", FONT) == expected.getvalue()


def test_the_original_is_left_alone():
    image = Image.new("RGB", (240, 240), "white")
    attack_jpeg(image, "plate", FONT)
    assert image.getextrema() == ((255, 255),) * 3


def test_small_pictures_get_a_smaller_drawing_in_proportion():
    large, small = red_box(attacked((224, 224), "Mm")), red_box(attacked((112, 112), "Mm"))
    assert np.array(small) == pytest.approx(np.array(large) / 2, abs=3)
    assert large[1] >= 50
    assert attacked((64, 64), "Mm").size == (64, 64)


def test_the_larger_side_does_not_make_it_exact():
    assert red_box(attacked((600, 112), "Mm")) == red_box(attacked((300, 112), "Mm"))


def test_pillows_font_writes_names_without_their_accents():
    assert attack_jpeg(Image.new("RGB", (224, 224)), "Réunion", FONT) == attack_jpeg(
        Image.new("RGB", (224, 224)), "Reunion", FONT
    )


def test_targets_are_the_nearest_other_name():
    names = ["Guinea", "Guinea-Bissau", "Norway", "North Macedonia", "North Korea"]
    targets = choose_targets(names, name_vectors(names), {})
    assert targets[0] == 1
    assert targets[1] == 0
    assert targets[4] == 3
    assert all(target != own for own, target in enumerate(targets))


def test_targets_are_the_nearest_by_embedding_and_a_confusion_comes_first():
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    assert choose_targets(["a", "b", "c"], vectors, {}).tolist() == [1, 0, 1]
    assert choose_targets(["a", "b", "c"], vectors, {"a": "c"}).tolist() == [2, 0, 1]


def test_two_classes_of_one_name_are_no_attack_on_each_other():
    names = ["crane", "crane", "seal"]
    assert choose_targets(names, name_vectors(names), {}).tolist()[:2] == [2, 2]


def test_unusable_targets_are_told():
    with pytest.raises(InputError, match="'kite' is no class"):
        choose_targets(["a", "b"], name_vectors(["a", "b"]), {"a": "kite"})
    with pytest.raises(InputError, match="at least two classes"):
        choose_targets(["a"], name_vectors(["a"]), {})


def test_unusable_fonts_are_told(tmp_path):
    with pytest.raises(InputError, match="font not found"):
        load_font(str(tmp_path / "missing.ttf"))
    (tmp_path / "bad.ttf").write_text("no font")
    with pytest.raises(InputError, match="not a TrueType font"):
        load_font(str(tmp_path / "bad.ttf"))


PLACES = ["top_left", "top_right", "centre", "bottom_left", "bottom_right"]


def writing_box(position, text="Mm", size=(400, 300), pixels=50):
    image = Image.new("RGB", size, "white")
    data = attack_jpeg(image, text, FONT, Writing(pixels, position))
    return red_box(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("position", PLACES)
def test_the_box_keeps_the_margin_from_the_sides_that_it_is_named_for(position):
    top, left, bottom, right = writing_box(position)
    across = {"left": left - 50, "right": 400 - 50 - 1 - right}
    down = {"top": top - 50, "bottom": 300 - 50 - 1 - bottom}
    if position == "centre":
        assert (left + right) / 2 == pytest.approx(200, abs=3)
        assert (top + bottom) / 2 == pytest.approx(150, abs=3)
        return
    vertical, _, horizontal = position.partition("_")
    # At the top left the font's own space before the letters comes on top, as ImageNet-Atr has it.
    assert abs(across[horizontal]) <= 8  # the first letter's own space is in the box
    assert abs(down[vertical]) <= (25 if position == "top_left" else 4)


@pytest.mark.parametrize("position", PLACES)
def test_what_is_too_long_begins_at_the_margin_and_runs_off_to_the_right(position):
    _, left, _, right = writing_box(position, text="Mm" * 20)
    assert left == pytest.approx(50, abs=8)
    assert right >= 385  # within a letter of the edge


def test_size_and_colour_are_as_asked_and_shrink_with_small_pictures():
    def height(pixels, size=(400, 300)):
        top, _, bottom, _ = writing_box("centre", size=size, pixels=pixels)
        return bottom - top

    assert height(100) == pytest.approx(2 * height(50), rel=0.1)
    assert height(100, (112, 112)) == pytest.approx(height(50), abs=3)
    image = Image.new("RGB", (300, 300), "white")
    blue = attack_jpeg(image, "Mm", FONT, Writing(50, "centre", (0, 0, 255)))
    pixels = np.asarray(Image.open(io.BytesIO(blue))).astype(int)
    assert ((pixels[..., 2] > 200) & (pixels[..., 0] < 120)).sum() > 300


def test_the_grid_has_every_combination_under_a_name_that_tells_it():
    config = GridConfig(sizes=(20, 40), positions=("centre",), colours=("red", "#00ff00"))
    assert typographic_grid.cells(config) == {
        "typographic_grid/20/centre/red": Writing(20, "centre", (255, 0, 0)),
        "typographic_grid/20/centre/00ff00": Writing(20, "centre", (0, 255, 0)),
        "typographic_grid/40/centre/red": Writing(40, "centre", (255, 0, 0)),
        "typographic_grid/40/centre/00ff00": Writing(40, "centre", (0, 255, 0)),
    }


def test_the_default_grid_holds_the_papers_drawing():
    assert Writing() in typographic_grid.cells(GridConfig()).values()


def test_the_grid_as_a_table():
    values = {
        "typographic_grid/20/centre/red": 12.5,
        "typographic_grid/clean": 90.0,
        "knn/top1": 1.0,
    }
    assert typographic_grid.table(values) == [
        {"size": 20, "position": "centre", "colour": "red", "top1": 12.5}
    ]


@pytest.mark.parametrize(("images", "wanted", "expected"), [(5, 0, 5), (5, 9, 5), (100, 7, 7)])
def test_images_to_draw_on_are_spread_over_the_set(images, wanted, expected):
    chosen = typographic_grid.drawn_on(GridConfig(images=wanted), images)
    assert len(chosen) == expected
    assert (chosen[0], chosen[-1]) == (0, images - 1)
    assert np.diff(chosen).max() - np.diff(chosen).min() <= 1


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ({"colours": ["rot"]}, r"grid\.colours\.0.*rot"),
        ({"colours": ["rgb(1,2,3)"]}, r"grid\.colours\.0.*red, or #rrggbb"),
        ({"positions": ["left"]}, r"grid\.positions\.0"),
        ({"sizes": []}, r"grid\.sizes"),
        ({"sizes": [0]}, r"grid\.sizes\.0"),
    ],
)
def test_an_unusable_grid_is_told(grid, says):
    with pytest.raises(InputError, match=says):
        parse_config(EvaluateConfig, {"grid": grid}, where="test")
