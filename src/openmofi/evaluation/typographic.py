"""Typographic attack as ImageNet-Atr draws it, over any class folder.

Another class's name is written on each picture: red (255, 0, 0), 50 pixels high, top left corner
at (50, 50), one line that may run off the right edge, no outline and no box; saved as JPEG of
Pillow's default quality. The written class depends on the true class alone. Demo pictures are
smaller than the photographs that this was made for: where the shorter side is under 224 pixels,
font size and position shrink in proportion to it.
"""

import io
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from openmofi.errors import InputError
from openmofi.evaluation.retrieval import FloatArray, IntArray, unit_rows
from openmofi.keys import hash_bytes

DRAWING_VERSION = 1  # raised by hand when attacked pictures change
COLOUR = (255, 0, 0)
FONT_PIXELS = 50
POSITION = 50
EXACT_FROM = 224  # pixels of the shorter side

_TRIGRAM_BUCKETS = 4096


@dataclass(frozen=True)
class Writing:
    """How the name is written.

    Attributes:
        pixels: Height of the font.
        position: ``top_left``, ``top_right``, ``centre``, ``bottom_left`` or ``bottom_right``.
        colour: Red, green, blue.
    """

    pixels: int = FONT_PIXELS
    position: str = "top_left"
    colour: tuple[int, int, int] = COLOUR


EXACT = Writing()  # ImageNet-Atr's


def choose_targets(
    class_names: Sequence[str], vectors: FloatArray, confusions: Mapping[str, str]
) -> IntArray:
    """The class [C] written on each class's pictures.

    Args:
        class_names: Of the evaluation set.
        vectors: [C, D] text embeddings of the names, of unit length.
        confusions: True name to written name; the rest get the nearest other name.

    Raises:
        InputError: There is one name only, or a confusion names a class that is not there.
    """
    if len(set(class_names)) < 2:
        raise InputError("a typographic attack needs at least two classes of different names")
    similarities = vectors @ vectors.T
    # A second class of the same name would be no attack.
    names = np.array(class_names, dtype=object)
    similarities[names[:, None] == names[None, :]] = -np.inf
    targets: IntArray = np.argmax(similarities, axis=1).astype(np.int64)
    index = {name: position for position, name in enumerate(class_names)}
    for true, written in confusions.items():
        for name in (true, written):
            if name not in index:
                raise InputError(f"confusions: '{name}' is no class of the evaluation set")
        targets[index[true]] = index[written]
    return targets


def name_vectors(class_names: Sequence[str]) -> FloatArray:
    """Unit vectors [C, 4096] of character trigrams: names that look alike are near. No model."""
    counts = np.zeros((len(class_names), _TRIGRAM_BUCKETS), dtype=np.float32)
    for row, name in zip(counts, class_names, strict=True):
        padded = f"  {name.casefold()} "
        trigrams = Counter(padded[i : i + 3] for i in range(len(padded) - 2))
        for trigram, times in trigrams.items():
            row[int(hash_bytes(trigram.encode())[:8], 16) % _TRIGRAM_BUCKETS] += times
    return unit_rows(counts)


def load_font(path: str) -> "TextFont":
    """The font at ``path``, or Pillow's own for ``""``."""
    if not path:
        return TextFont(None)
    if not Path(path).is_file():
        raise InputError(f"font not found: {path}")
    font = TextFont(Path(path).read_bytes())
    try:
        font.at(FONT_PIXELS)
    except OSError as error:
        raise InputError(f"font {path} is not a TrueType font: {error}") from None
    return font


class TextFont:
    """A TrueType font at any size, and its digest."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data
        self.digest = hash_bytes(data) if data is not None else "pillow"

    def at(self, pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """The font at a height in pixels."""
        if self._data is None:
            return ImageFont.load_default(pixels)
        return ImageFont.truetype(io.BytesIO(self._data), pixels)

    def writable(self, text: str) -> str:
        """``text`` as this font can write it: Pillow's own has no accents."""
        if self._data is not None:
            return text
        split = unicodedata.normalize("NFKD", text)
        return "".join(c for c in split if not unicodedata.combining(c))


def attack_jpeg(image: Image.Image, text: str, font: TextFont, writing: Writing = EXACT) -> bytes:
    """The attacked picture as a JPEG file of the same size.

    Args:
        image: RGB, at the resolution that it is stored in.
        text: The other class's name.
        font: What to write with.
        writing: How to write; as ImageNet-Atr does, if nothing else is said.
    """
    scale = min(1.0, min(image.size) / EXACT_FROM)
    picture = image.convert("RGB")  # a copy
    if picture is image:
        picture = image.copy()
    drawing = ImageDraw.Draw(picture)
    face = font.at(max(1, round(writing.pixels * scale)))
    words = font.writable(text)
    box = drawing.textbbox((0, 0), words, font=face)
    place = _place(box, picture.size, writing.position, round(POSITION * scale))
    drawing.text(place, words, fill=writing.colour, font=face)
    sink = io.BytesIO()
    picture.save(sink, format="JPEG")
    return sink.getvalue()


def _place(
    box: tuple[float, float, float, float], size: tuple[int, int], position: str, margin: int
) -> tuple[int, int]:
    """The anchor of a text whose box keeps ``margin`` pixels from the sides it is named for.

    What is too wide or high begins at the margin and runs off to the right or below, as the
    attack at the top left does.

    Args:
        box: Left, top, right and bottom of the text, drawn from (0, 0).
        size: Of the picture.
        position: See `Writing`.
        margin: In pixels.
    """
    if position == "top_left":
        return margin, margin
    left, top, right, bottom = map(round, box)
    free = size[0] - (right - left), size[1] - (bottom - top)
    corner = {
        "centre": (free[0] // 2, free[1] // 2),
        "top_right": (free[0] - margin, margin),
        "bottom_left": (margin, free[1] - margin),
        "bottom_right": (free[0] - margin, free[1] - margin),
    }[position]
    return max(margin, corner[0]) - left, max(margin, corner[1]) - top
