"""The real detector on rendered words and odd sizes. Run: pytest tests/unit/textregions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from openmofi.errors import InputError
from openmofi.textregions.boxes import Backend, Pixels, Region, polygon_area
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import TextDetector, detector_digests, load_detector
from openmofi.textregions.rapidocr_backend import (
    MODEL,
    RapidOcrBackend,
    _normalizing_table,
    in_wheel,
)
from openmofi.textregions.reading import MODEL as READER


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    """One look: what the network says, without reading."""
    return load_detector(DetectConfig(second_look=False, min_confidence=0.3))


@pytest.fixture(scope="module")
def reading_detector() -> TextDetector:
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


def test_a_word_is_framed_where_it_stands(detector: TextDetector) -> None:
    image, place = rendered((320, 240), ("Georgia", 24, (60, 100)))
    (box,) = detector.detect(image)
    assert share_inside(box.polygon, place) > 0.9
    assert box.confidence > 0.7
    assert polygon_area(box.polygon) < 4 * (place[2] - place[0]) * (place[3] - place[1])


def test_each_box_keeps_its_own_confidence(detector: TextDetector) -> None:
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


def test_channels_are_handed_over_as_blue_green_red() -> None:
    class Watching:
        def __init__(self) -> None:
            self.seen: list[Pixels] = []

        def regions(self, pictures: Sequence[Pixels]) -> list[list[Region]]:
            self.seen += pictures
            return [[] for _ in pictures]

    watching = Watching()
    config = DetectConfig(second_look=False)
    TextDetector(config, watching, None).detect(Image.new("RGB", (40, 40), (255, 0, 0)))
    assert watching.seen[0][0, 0].tolist() == [0, 0, 255]


def test_numbers_are_those_that_rapidocr_makes() -> None:
    from rapidocr.ch_ppocr_det.utils import DetPreProcess

    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    theirs = DetPreProcess(960, "max", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(pixels)
    table = _normalizing_table()
    ours = np.stack([table[channel][pixels[:, :, channel]] for channel in range(3)])
    np.testing.assert_array_equal(ours, theirs[0])


def test_a_batch_gives_what_each_picture_gives_alone() -> None:
    backend = RapidOcrBackend(DetectConfig())
    pictures = [
        np.asarray(rendered((320, 256), ("Georgia", size, (20, 40)))[0])[:, :, ::-1]
        for size in (20, 30, 40)
    ]
    together = backend.regions(pictures)
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = backend.regions([picture])
        assert len(found) == len(alone) == 1
        np.testing.assert_allclose(found[0].corners, alone[0].corners, atol=0.5)
        assert found[0].confidence == pytest.approx(alone[0].confidence, abs=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (320, 1), (1, 320), (20, 4000), (4000, 20)])
def test_an_empty_thin_picture_has_no_box(detector: TextDetector, size: tuple[int, int]) -> None:
    assert detector.detect(Image.new("RGB", size, "white")) == []


@pytest.mark.parametrize(("size", "height"), [((200, 12), 11), ((4000, 40), 34)])
def test_a_word_in_a_thin_banner_is_found_inside_the_picture(
    detector: TextDetector, size: tuple[int, int], height: int
) -> None:
    image, place = rendered(size, ("Cheap flights", height, (20, -2)))
    (box,) = detector.detect(image)
    assert share_inside(box.polygon, place) > 0.5
    assert max(box.polygon[0::2]) <= size[0]
    assert max(box.polygon[1::2]) <= size[1]


def test_a_large_picture_has_its_boxes_in_its_own_pixels(detector: TextDetector) -> None:
    image, place = rendered((3000, 2250), ("Georgia", 200, (600, 1000)))
    boxes = detector.detect(image)
    assert max(share_inside(box.polygon, place) for box in boxes) > 0.9
    # Tiles of plain paper are no text: only specks inside the large letters are left of them.
    assert sum(polygon_area(box.polygon) > 1000 for box in boxes) == 1


def test_a_small_word_in_a_large_picture_is_found_in_a_tile(
    detector: TextDetector, reading_detector: TextDetector
) -> None:
    image, place = rendered((2400, 1600), ("Georgia", 16, (1500, 1000)))
    shrunk_only = load_detector(DetectConfig(second_look=False, max_tiles=0))
    assert not any(share_inside(box.polygon, place) > 0.5 for box in shrunk_only.detect(image))
    (box,) = (one for one in detector.detect(image) if share_inside(one.polygon, place) > 0.5)
    assert polygon_area(box.polygon) < 4 * (place[2] - place[0]) * (place[3] - place[1])


def test_a_word_on_the_seam_of_tiles_is_one_box(detector: TextDetector) -> None:
    image, place = rendered((2400, 1600), ("Georgia Georgia", 60, (700, 800)))
    boxes = [one for one in detector.detect(image) if share_inside(one.polygon, place) > 0.2]
    assert len(boxes) == 1
    assert share_inside(boxes[0].polygon, place) > 0.9


class Framing:
    """A network that frames the whole picture, and, when it is enlarged, a word in it."""

    def __init__(self, word: tuple[float, ...] | None = None) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._word = word

    def regions(self, pictures: Sequence[Pixels]) -> list[list[Region]]:
        found = []
        for picture in pictures:
            height, width = picture.shape[:2]
            self.sizes.append((width, height))
            frames = [(0, 0, width, height)]
            if self._word and width > 320:
                frames.append(tuple(2 * value for value in self._word))
            found.append([Region(corners_of(frame), 0.8) for frame in frames])
        return found


def corners_of(frame: tuple[float, ...]) -> np.ndarray:
    left, top, right, bottom = frame
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def reading_with(backend: Backend, **values: Any) -> TextDetector:
    config = DetectConfig(**values)
    from openmofi.textregions.reading import Reader

    return TextDetector(config, backend, Reader(config))


def test_a_whole_object_is_framed_but_not_believed() -> None:
    (box,) = reading_with(Framing(), closer_look=0).detect(Image.new("RGB", (320, 256), PAPER))
    assert box.detector_confidence == pytest.approx(0.8)
    assert box.confidence < 0.2


def test_a_closer_look_finds_what_the_first_missed() -> None:
    image, place = rendered((320, 256), ("Georgia", 24, (60, 100)))
    backend = Framing(place)
    boxes = reading_with(backend).detect(image)
    assert backend.sizes == [(320, 256), (640, 512)]
    assert max(box.confidence for box in boxes if share_inside(box.polygon, place) > 0.9) > 0.5
    assert len(boxes) == 2  # the frame of both looks is one finding


@pytest.mark.parametrize(
    ("size", "values"),
    [
        ((320, 256), {"closer_look": 0}),
        ((640, 480), {}),  # as large as the closer look would be
        ((320, 256), {"input_limit": 320}),
    ],
)
def test_no_closer_look(size: tuple[int, int], values: dict[str, Any]) -> None:
    backend = Framing()
    reading_with(backend, **values).detect(Image.new("RGB", size, PAPER))
    assert len(backend.sizes) == 1


def test_without_reading_nothing_is_enlarged() -> None:
    backend = Framing()
    TextDetector(DetectConfig(), backend, None).detect(Image.new("RGB", (320, 256), PAPER))
    assert len(backend.sizes) == 1


def test_a_sure_picture_gets_no_closer_look() -> None:
    image, place = rendered((320, 256), ("Georgia", 24, (60, 100)))

    class Finding(Framing):
        def regions(self, pictures: Sequence[Pixels]) -> list[list[Region]]:
            super().regions(pictures)
            return [[Region(corners_of(place), 0.6)]]

    backend = Finding()
    (box,) = reading_with(backend).detect(image)
    assert len(backend.sizes) == 1
    assert box.confidence > 0.9
    assert box.detector_confidence == pytest.approx(0.6)


def test_pictures_of_one_size_go_together_on_a_gpu_and_keep_their_order() -> None:
    class Counting(Framing):
        def __init__(self) -> None:
            super().__init__()
            self.batches: list[int] = []

        def regions(self, pictures: Sequence[Pixels]) -> list[list[Region]]:
            self.batches.append(len(pictures))
            return super().regions(pictures)

    backend = Counting()
    config = DetectConfig(second_look=False, device="cuda", batch_size=2)
    sizes = [(320, 256), (64, 64), (320, 256), (320, 250)]
    found = TextDetector(config, backend, None).detect_all(
        [Image.new("RGB", size, PAPER) for size in sizes]
    )
    assert sorted(backend.batches) == [1, 1, 2]
    assert [boxes[0].polygon[4:6] for boxes in found] == [tuple(map(float, size)) for size in sizes]


def test_area_of_a_slanted_square() -> None:
    assert polygon_area((1, 0, 2, 1, 1, 2, 0, 1)) == pytest.approx(2)


def test_the_digests_are_those_of_the_weights_that_were_measured() -> None:
    # PP-OCRv6 small of rapidocr 3.10.0. Other weights give other boxes.
    first = {"detector": "b7413b858657f761f26bd1c13da5e41b"}
    assert detector_digests(DetectConfig(second_look=False)) == first
    assert detector_digests(DetectConfig()) == {
        **first,
        "reader": "fd6c4ce6565ccda1e6531120c8bf82fd",
    }


@pytest.mark.parametrize("role", ["model", "reader"])
def test_a_file_that_is_no_such_network_is_one_line(tmp_path: Path, role: str) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(InputError, match=r"broken\.onnx (is no ONNX|cannot be used)") as caught:
        load_detector(DetectConfig(**{role: str(broken)}))
    assert "\n" not in str(caught.value)
    other = {"model": READER, "reader": MODEL}[role]
    with pytest.raises(InputError, match=r"cannot be used|does not say its characters"):
        load_detector(DetectConfig(**{role: str(in_wheel(other))}))


def test_a_model_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model .*none\.onnx is no file"):
        load_detector(DetectConfig(model=str(tmp_path / "none.onnx")))
