"""The real detector on rendered words and odd sizes. Run: pytest tests/unit/textregions."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import (
    RapidOcrDetector,
    detector_digest,
    load_detector,
    pad_thin,
    polygon_area,
)


@pytest.fixture(scope="module")
def detector() -> RapidOcrDetector:
    return load_detector(DetectConfig())


PAPER = (205, 215, 225)
Word = tuple[str, int, tuple[int, int]]  # text, height in pixels, place


def write(image: Image.Image, word: Word, ink: Any = "black") -> tuple[float, ...]:
    """Draw a word and return where it stands."""
    text, height, place = word
    font = ImageFont.load_default(size=height)
    draw = ImageDraw.Draw(image)
    draw.text(place, text, fill=ink, font=font)
    return draw.textbbox(place, text, font=font)


def rendered(size: tuple[int, int], word: Word) -> tuple[Image.Image, tuple[float, ...]]:
    """A picture with one word, and where it stands."""
    image = Image.new("RGB", size, PAPER)
    return image, write(image, word)


def share_inside(polygon: tuple[float, ...], place: tuple[float, ...]) -> float:
    """Share of the word's area that the polygon's bounding box covers."""
    xs, ys = polygon[0::2], polygon[1::2]
    wide = min(max(xs), place[2]) - max(min(xs), place[0])
    high = min(max(ys), place[3]) - max(min(ys), place[1])
    area = (place[2] - place[0]) * (place[3] - place[1])
    return max(wide, 0) * max(high, 0) / area


def test_a_word_is_framed_where_it_stands(detector: RapidOcrDetector) -> None:
    image, place = rendered((320, 240), ("Georgia", 24, (60, 100)))
    (box,) = detector.detect(image)
    assert share_inside(box.polygon, place) > 0.9
    assert box.confidence > 0.7
    assert polygon_area(box.polygon) < 4 * (place[2] - place[0]) * (place[3] - place[1])


def test_each_box_keeps_its_own_confidence(detector: RapidOcrDetector) -> None:
    # The model gives the lower word first, reading order the upper one: sorting boxes without their
    # confidences, as rapidocr does, would swap them.
    pale, clear = ("Lagos", 8, (20, 20)), ("Georgia", 30, (90, 150))
    picture = Image.new("RGB", (320, 240), PAPER)
    write(picture, pale, ink=(180, 190, 200))
    (pale_alone,) = detector.detect(picture)
    write(picture, clear)
    lower, upper = detector.detect(picture)
    assert lower.polygon[1] > upper.polygon[1]
    assert upper.confidence == pytest.approx(pale_alone.confidence, abs=0.1)
    assert lower.confidence > upper.confidence + 0.2


def test_channels_are_handed_over_as_blue_green_red(detector: RapidOcrDetector) -> None:
    # With equal channels swapped nothing would change, so look at what the network is given.
    seen = []
    inner = detector._detector
    preprocess = inner.get_preprocess()

    class Watched:
        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            seen.append(pixels)
            return preprocess(pixels)

    inner.get_preprocess = Watched
    try:
        detector.detect(Image.new("RGB", (40, 40), (255, 0, 0)))
    finally:
        del inner.get_preprocess
    assert seen[0][0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (320, 1), (1, 320), (20, 4000), (4000, 20)])
def test_an_empty_thin_picture_has_no_box(
    detector: RapidOcrDetector, size: tuple[int, int]
) -> None:
    assert detector.detect(Image.new("RGB", size, "white")) == []


@pytest.mark.parametrize(("size", "height"), [((200, 12), 11), ((4000, 40), 34)])
def test_a_word_in_a_thin_banner_is_found_inside_the_picture(
    detector: RapidOcrDetector, size: tuple[int, int], height: int
) -> None:
    image, place = rendered(size, ("Cheap flights", height, (20, -2)))
    (box,) = detector.detect(image)
    assert share_inside(box.polygon, place) > 0.5
    assert max(box.polygon[0::2]) <= size[0]
    assert max(box.polygon[1::2]) <= size[1]


def test_a_large_picture_has_its_boxes_in_its_own_pixels(detector: RapidOcrDetector) -> None:
    image, place = rendered((3000, 2250), ("Georgia", 200, (600, 1000)))
    (box,) = detector.detect(image)
    assert share_inside(box.polygon, place) > 0.9


@pytest.mark.parametrize(
    ("shape", "limit", "expected"),
    [
        ((240, 320), 960, (240, 320)),
        ((1, 1), 960, (32, 32)),
        ((16, 320), 960, (32, 320)),
        ((4000, 20), 960, (4000, 134)),  # 134 x 960 / 4000 = 32.2
    ],
)
def test_padding_leaves_32_pixels_after_shrinking(
    shape: tuple[int, int], limit: int, expected: tuple[int, int]
) -> None:
    pixels = np.full((*shape, 3), 90, np.uint8)
    padded = pad_thin(pixels, limit)
    assert padded.shape[:2] == expected
    assert min(expected) * min(1, limit / max(expected)) >= 32
    assert (padded == 90).all()


def test_area_of_a_slanted_square() -> None:
    assert polygon_area((1, 0, 2, 1, 1, 2, 0, 1)) == pytest.approx(2)


def test_the_digest_is_that_of_the_weights_that_were_measured() -> None:
    # PP-OCRv6_det_small.onnx of rapidocr 3.10.0. Other weights give other boxes.
    assert detector_digest() == "b7413b858657f761f26bd1c13da5e41b"
