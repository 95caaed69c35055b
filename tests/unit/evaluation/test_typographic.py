import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from openmofi.errors import InputError
from openmofi.evaluation.typographic import (
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
