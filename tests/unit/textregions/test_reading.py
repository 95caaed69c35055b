"""Scope: openmofi.textregions.reading: a region is text if it can be read."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from openmofi.errors import InputError
from openmofi.textregions import reading
from openmofi.textregions.boxes import Pixels, Region
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.reading import Reader, Reading, confidence, reader_path, upright


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(DetectConfig())


def corners(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def written(text: str, *, angle: int = 0, height: int = 24) -> tuple[Pixels, np.ndarray]:
    """A picture of 240 x 240 with a word in its middle, and the word's corners."""
    font = ImageFont.load_default(size=height)
    image = Image.new("RGB", (240, 240), (205, 215, 225))
    box = font.getbbox(text, anchor="mm")
    ImageDraw.Draw(image).text((120, 120), text, fill="black", font=font, anchor="mm")
    turned = image.rotate(angle, resample=Image.Resampling.BICUBIC, fillcolor=(205, 215, 225))
    flat = corners(*(120 + np.array(box) + (-3, -3, 3, 3))) - 120
    a = math.radians(-angle)
    rotation = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    return np.asarray(turned)[:, :, ::-1].copy(), (flat @ rotation + 120).astype(np.float32)


@pytest.mark.parametrize("angle", [0, 20, 45, -60, 90, -90, 180])
def test_a_word_is_read_at_any_angle(reader: Reader, angle: int) -> None:
    picture, place = written("Georgia", angle=angle)
    # A detector's corners begin at the upper left, whichever way the word runs.
    turns = {90: 1, -90: 3, 180: 2}.get(angle, 0)
    assert reader.read(picture, np.roll(place, turns, axis=0)).letters > 3


def test_a_word_upside_down_is_turned(reader: Reader) -> None:
    picture, place = written("music", angle=180)  # of which nothing can be read upside down
    assert reader.read(picture, np.roll(place, 2, axis=0)).letters > 4


@pytest.mark.parametrize("text", ["***", "- -", "!?"])
def test_signs_are_no_letters(reader: Reader, text: str) -> None:
    picture, place = written(text)
    assert reader.read(picture, place).letters < 1.2


def test_nothing_is_read_on_a_plain_surface(reader: Reader) -> None:
    plain = np.full((100, 200, 3), 120, np.uint8)
    assert reader.read(plain, corners(10, 10, 190, 90)) == (0, 0)


def test_a_word_is_more_likely_text_than_the_same_frame_without(reader: Reader) -> None:
    picture, place = written("Georgia")
    plain = np.full_like(picture, 200)
    region = Region(place, 0.6)
    assert reader.confidences(picture, [region])[0] > 0.9
    assert reader.confidences(plain, [region])[0] < 0.3


def test_tiny_regions_keep_what_the_map_said(reader: Reader) -> None:
    picture, place = written("Georgia")
    tiny = Region(corners(0, 0, 5, 5), 0.77)
    sure, kept = reader.confidences(picture, [Region(place, 0.3), tiny])
    assert kept == 0.77
    assert sure != 0.3


def test_after_eight_that_can_be_read_the_rest_is_not_looked_at(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def read(self: Reader, picture: Pixels, place: np.ndarray) -> Reading:
        looked.append(place[0, 0])
        return Reading(4.0, 0.0)

    monkeypatch.setattr(Reader, "read", read)
    picture = np.zeros((100, 400, 3), np.uint8)
    regions = [Region(corners(n, 0, n + 20, 20), 0.5 + n / 100) for n in range(12)]
    found = reader.confidences(picture, regions)
    assert looked == [11, 10, 9, 8, 7, 6, 5, 4]  # the surest first
    assert found[:4] == [0.5, 0.51, 0.52, 0.53]
    assert all(one > 0.9 for one in found[4:])


def test_a_texture_of_many_regions_is_not_read_to_its_end(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def read(self: Reader, picture: Pixels, place: np.ndarray) -> Reading:
        looked.append(place[0, 0])
        return Reading(0.0, 0.0)

    monkeypatch.setattr(Reader, "read", read)
    picture = np.zeros((100, 400, 3), np.uint8)
    regions = [Region(corners(n, 0, n + 20, 20), 0.9 - n / 1000) for n in range(100)]
    found = reader.confidences(picture, regions)
    assert looked == list(range(64))
    assert max(found) < 0.5


def test_confidence_by_hand() -> None:
    value = (
        reading.INTERCEPT + 2 * reading.PER_LETTER + reading.PER_MAP * math.log(3)
    ) + reading.PER_AREA * -2
    assert confidence(Reading(2, 0), 0.75, 0.01) == pytest.approx(1 / (1 + math.exp(-value)))
    assert confidence(Reading(4, 0), 0.75, 0.01) == confidence(Reading(9, 0), 0.75, 0.01)
    assert confidence(Reading(0, 0), 1.0, 1e-9) < 1  # no logarithm of 0
    odds = [
        math.log(one / (1 - one))
        for one in (confidence(Reading(0.9, lone), 0.7, 0.02) for lone in (0.0, 0.9))
    ]
    assert odds[1] - odds[0] == pytest.approx(0.9**4 * reading.PER_LONE)


@pytest.mark.parametrize(("text", "is_lone"), [("R", True), ("5", True), ("Ra", False)])
def test_a_lone_letter_is_told_apart(reader: Reader, text: str, is_lone: bool) -> None:
    picture, place = written(text, height=60)
    found = reader.read(picture, place)
    assert found.letters > 0.8
    assert found.lone == (found.letters if is_lone else 0)


def test_a_lone_ideograph_is_none(reader: Reader) -> None:
    # Four panes of a window are read as the ideograph for a field.
    picture = np.full((120, 120, 3), 230, np.uint8)
    for left, top, right, bottom in ((20, 20, 100, 28), (20, 92, 100, 100), (20, 56, 100, 64)):
        picture[top:bottom, left:right] = picture[left:right, top:bottom] = 20
    found = reader.read(picture, corners(10, 10, 110, 110))
    assert 0.25 < found.letters <= 0.5  # of one that it is sure of
    assert found.lone == 0


def test_a_region_becomes_a_line_and_a_long_one_its_middle() -> None:
    picture = np.zeros((100, 1000, 3), np.uint8)
    picture[:, 500:] = 200
    short = upright(picture, corners(450, 10, 550, 58))
    assert short.shape == (48, 100, 3)
    assert (short[24, 10, 0], short[24, 90, 0]) == (0, 200)
    long = upright(picture, corners(0, 10, 1000, 58))
    assert long.shape == (48, 160, 3)
    assert (long[24, 70, 0], long[24, 90, 0]) == (0, 200)


def test_a_high_region_is_laid_down() -> None:
    picture = np.zeros((200, 60, 3), np.uint8)
    picture[:100] = 200
    line = upright(picture, corners(10, 40, 50, 160))
    assert line.shape == (48, 144, 3)
    assert sorted((int(line[24, 10, 0]), int(line[24, 130, 0]))) == [0, 200]


def test_a_large_region_is_averaged_not_sampled() -> None:
    picture = np.zeros((960, 1920, 3), np.uint8)
    picture[::2] = 200  # lines of one pixel
    line = upright(picture, corners(0, 0, 1920, 960))
    assert line[4:-4].min() > 80
    assert line[4:-4].max() < 120


def test_a_missing_reader_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reader .*none\.onnx is no file"):
        reader_path(DetectConfig(reader=str(tmp_path / "none.onnx")))
