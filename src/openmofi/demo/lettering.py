"""Text rendered into a picture, as posters, memes and watermarks have it."""

import functools
import unicodedata

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from openmofi.errors import InputError

MIN_SIZE, MAX_SIZE = 11, 15  # pixels; smaller letters can't be read by anyone
_MAX_LINES = 3
_MARGIN = 3  # pixels to the edges

_INKS = (
    ("#ffffff", "#101010"), ("#101010", "#ffffff"), ("#fff060", "#202020"),
    ("#c00020", "#ffffff"), ("#103080", "#ffffff"), ("#ffffff", "#803010"),
)  # fmt: skip


def letter(image: Image.Image, text: str, rng: np.random.Generator) -> str:
    """Write as much of ``text`` into ``image`` as fits in three lines.

    Returns:
        What can be read there; "" if not even one word fitted.
    """
    # Pillow's own font has hardly a letter beyond ASCII: "Brasilia", as on many posters.
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    if rng.random() < 0.3:
        text = text.upper()
    lines, font = _fit(text, image.width - 2 * _MARGIN, int(rng.integers(MIN_SIZE, MAX_SIZE + 1)))
    if not lines:
        return ""
    canvas = ImageDraw.Draw(image)
    ink, paper = _INKS[int(rng.integers(len(_INKS)))]
    boxed = rng.random() < 0.4
    pitch = sum(font.getmetrics()) + (2 if boxed else 0)
    room = image.height - 2 * _MARGIN - pitch * len(lines)
    place = rng.choice(["top", "bottom", "any"], p=[0.25, 0.4, 0.35])
    share = {"top": 0.0, "bottom": 1.0}.get(str(place), rng.random())
    y = _MARGIN + max(room, 0) * share
    middle = rng.random() < 0.6
    for line in lines:
        slack = image.width - 2 * _MARGIN - font.getlength(line)
        x = _MARGIN + slack * (0.5 if middle else rng.random())
        if boxed:
            left, top, right, bottom = canvas.textbbox((x, y), line, font=font)
            canvas.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=paper)
        canvas.text((x, y), line, font=font, fill=ink, stroke_width=0 if boxed else 1,
                    stroke_fill=paper)  # fmt: skip
        y += pitch
    return " ".join(lines)


def _fit(text: str, width: int, size: int) -> tuple[list[str], ImageFont.FreeTypeFont]:
    """Lines no wider than ``width``, in the largest size up to ``size`` that takes two of them.

    Longer texts stand in the smallest size, on three lines; what does not fit is left out.
    """
    for tried in range(size, MIN_SIZE - 1, -1):
        lines, complete = _wrap(text.split(), width, _font(tried))
        if complete and len(lines) < _MAX_LINES:
            return lines, _font(tried)
    return _wrap(text.split(), width, _font(MIN_SIZE))[0], _font(MIN_SIZE)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise InputError("this Pillow has no FreeType, which the demo crawl needs for lettering")
    return font


def _wrap(words: list[str], width: int, font: ImageFont.FreeTypeFont) -> tuple[list[str], bool]:
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        elif len(lines) < _MAX_LINES and font.getlength(word) <= width:
            lines.append(word)
        else:
            return lines, False
    return lines, True
