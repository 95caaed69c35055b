"""One word on one photograph, detected and judged: the work of `text_rendering`, in any process."""

import io
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from benchmarks.text_labels import PUBLISHED, Photo
from benchmarks.text_words import Drawn, Style, draw_word, kind, size_for_width
from openmofi.evaluation.typographic import (
    COLOUR,
    FONT_PIXELS,
    POSITION,
    attack_jpeg,
    load_font,
)
from openmofi.images import decode_image
from openmofi.textregions.boxes import Box, polygon_area
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.rule import TextRule

LEAST_COVER = 0.5  # of the word, by one box that counts
MOST_TIMES = 6.0  # the word's area: a box around half the picture has found no word
_TRIES = 50  # other words, until one has room

Points = npt.NDArray[np.floating[Any]]


class Trial(NamedTuple):
    """What is to be drawn on which photograph."""

    number: int
    group: str  # plain, words, letters, filling, attack 50 px, attack scaled
    photo: Photo
    style: Style | None = None  # for a plain photograph and the attack
    texts: tuple[str, ...] = ()  # one of them is drawn


class Verdict(NamedTuple):
    flagged: bool  # some box counts
    large: bool  # some box is sure enough and above the rule's upper limit
    found: bool  # some box that counts is the word's


def judge(
    boxes: Sequence[Box], rule: TextRule, size: tuple[int, int], word: Points | None = None
) -> Verdict:
    """What ``rule`` says of a picture of that size, and whether it is for the word's sake."""
    flagged = large = found = False
    # The type of the recorded table, in which 0.2 is not above 0.2.
    low, high = np.float32(rule.min_area), np.float32(rule.area_limit)
    for box in boxes:
        area = np.float32(polygon_area(box.polygon) / (size[0] * size[1]))
        if np.float32(box.confidence) < np.float32(rule.min_confidence) or area < low:
            continue
        if area > high:
            large = True
            continue
        flagged = True
        if word is not None:
            found = found or is_word(np.reshape(box.polygon, (4, 2)), word)
    return Verdict(flagged, large, found)


def is_word(box: Points, word: Points) -> bool:
    """Whether a box covers half of the word's and is at most six times as large."""
    area = polygon_area(word.ravel().tolist())
    covered = overlap(box, word)
    return covered >= LEAST_COVER * area and polygon_area(box.ravel().tolist()) <= MOST_TIMES * area


def overlap(one: Points, other: Points) -> float:
    """Area that two convex polygons [points, 2] share: one is cut at each side of the other."""
    left = [tuple(map(float, point)) for point in one]
    corners = [tuple(map(float, point)) for point in other]
    if _signed_area(corners) < 0:
        corners.reverse()
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        if left:
            left = _cut(left, start, end)
    return abs(_signed_area(left)) if len(left) > 2 else 0.0


def _cut(
    polygon: list[tuple[float, ...]], start: tuple[float, ...], end: tuple[float, ...]
) -> list[tuple[float, ...]]:
    """The part of a polygon on the inner side of a line (Sutherland and Hodgman)."""

    def side(point: tuple[float, ...]) -> float:
        across = (end[0] - start[0]) * (point[1] - start[1])
        return across - (end[1] - start[1]) * (point[0] - start[0])

    kept = []
    for last, point in zip([polygon[-1], *polygon[:-1]], polygon, strict=True):
        before, after = side(last), side(point)
        if (before < 0) != (after < 0):
            part = before / (before - after)
            kept.append(tuple(a + part * (b - a) for a, b in zip(last, point, strict=True)))
        if after >= 0:
            kept.append(point)
    return kept


def _signed_area(points: Sequence[tuple[float, ...]]) -> float:
    following = [*points[1:], *points[:1]]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, following, strict=True)) / 2


def exact_attack(image: Image.Image, text: str, font: Any) -> bytes:
    """ImageNet-Atr's drawing at 50 pixels on a picture of any size; `attack_jpeg` may shrink it."""
    picture = image.copy()
    ImageDraw.Draw(picture).text(
        (POSITION, POSITION), font.writable(text), fill=COLOUR, font=font.at(FONT_PIXELS)
    )
    sink = io.BytesIO()
    picture.save(sink, format="JPEG")
    return sink.getvalue()


class Trials:
    """A job of `openmofi.workers`: a trial to a row of plain values."""

    def __init__(
        self, config: DetectConfig, rule: TextRule, seed: int, quality: int, attack_font: str
    ) -> None:
        self.config, self.rule, self.seed, self.quality = config, rule, seed, quality
        self.attack_font = attack_font
        self.detector: Any = None
        self.alone: Any = None  # the same without the second look

    def setup(self) -> None:
        from openmofi.textregions.detector import load_detector

        self.detector = load_detector(self.config)
        self.alone = load_detector(self.config.model_copy(update={"second_look": False}))

    def run(self, trial: Trial) -> dict[str, Any]:
        """The row; ``room`` is false if nothing could be drawn."""
        image = decode_image(trial.photo.read())
        row = {"number": trial.number, "group": trial.group, "shard": trial.photo.shard}
        row |= {"key": trial.photo.key, "room": True}
        if trial.group == "plain":
            return row | self._judged(image, None)
        if trial.style is None:
            (text,) = trial.texts
            draw = attack_jpeg if trial.group == "attack scaled" else exact_attack
            data = draw(image, text, load_font(self.attack_font))
            return row | {"text": text} | self._judged(decode_image(data), None)
        text, style, drawn = self._drawn(image, trial)
        if drawn is None:
            return row | {"room": False}
        row |= _described(text, style, drawn)
        return row | self._judged(self._stored(drawn.image), drawn.polygon)

    def _drawn(self, image: Image.Image, trial: Trial) -> tuple[str, Style, Drawn | None]:
        draw = random.Random(f"{self.seed} {trial.group} {trial.number}")
        style = trial.style
        assert style is not None
        for _ in range(_TRIES):
            text = draw.choice(trial.texts)
            if trial.group == "filling":
                width = draw.uniform(0.8, 1.0) * image.width
                style = style._replace(size=size_for_width(text, style.font, width))
            drawn = draw_word(image, text, style, draw)
            if drawn is not None:
                return text, style, drawn
        return "", style, None

    def _stored(self, image: Image.Image) -> Image.Image:
        """As a crawl would bring it: a JPEG file, read by the stage's own decoder."""
        sink = io.BytesIO()
        image.save(sink, format="JPEG", quality=self.quality)
        return decode_image(sink.getvalue())

    def _judged(self, image: Image.Image, word: Points | None) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for detector, rule, end in (
            (self.detector, self.rule, ""),
            (self.alone, PUBLISHED, "_before"),
        ):
            verdict = judge(detector.detect(image), rule, image.size, word)
            found |= {f"{name}{end}": value for name, value in verdict._asdict().items()}
        return found


def _described(text: str, style: Style, drawn: Drawn) -> dict[str, Any]:
    polygon = drawn.polygon.round(1).ravel().tolist()
    return {
        "text": text,
        "font": style.font.rpartition("/")[2],
        "kind": kind(style.font),
        "size": style.size,
        "angle": abs(style.angle),
        "turned": style.angle,
        "colour": style.colour,
        "outline": style.outline,
        "place": style.place,
        "polygon": polygon,
        "area": polygon_area(polygon) / (drawn.image.width * drawn.image.height),
        "contrast": round(drawn.contrast, 3),
        "difference": round(drawn.difference, 1),
        "seen": drawn.seen,
    }
