"""Lines of patterns, boxes and diagrams with Pillow, in pixels of a sheet."""

from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from openmofi.textregions.preview.curve import Panel
from openmofi.textregions.preview.marks import STYLES, Mark

INK, SOFT, GRID, PAPER = "#1d2430", "#566072", "#dde1e8", "#ffffff"
_LINES = {"fitting": ("#0072b2", ()), "with_large": ("#b35900", (9, 5))}
_LEFT, _TOP, _BOTTOM = 64, 34, 46  # of a diagram, around its square

Point = tuple[float, float]


def text(
    draw: ImageDraw.ImageDraw, at: Point, said: str, size: int, fill: str = INK, anchor: str = "la"
) -> None:
    """Write one line with the font that Pillow brings along."""
    draw.text(at, _one_line(said), fill=fill, font=ImageFont.load_default(size), anchor=anchor)


def length(said: str, size: int) -> float:
    """Pixels across that a line takes."""
    return float(ImageFont.load_default(size).getlength(_one_line(said)))


def _one_line(said: str) -> str:
    """Pillow measures no text of several lines, and a key may hold their end."""
    return "".join(one if one.isprintable() else " " for one in said)


def fitted(said: str, size: int, wide: float) -> str:
    """A line cut in its middle so that it is at most ``wide`` pixels long."""
    kept = said
    while len(kept) > 3 and length(kept, size) > wide:
        half = (len(kept) - 2) // 2
        kept = f"{kept[:half]}…{kept[-half:]}" if half > 0 else kept[:1]
    return kept


def line(
    draw: ImageDraw.ImageDraw,
    points: Sequence[Point],
    fill: str,
    width: int,
    dashes: Sequence[int] = (),
) -> None:
    """A line through ``points``, drawn through or in a pattern of pixels on and off."""
    if not dashes:
        draw.line(points, fill=fill, width=width, joint="curve")
        return
    for piece in _pieces(points, dashes):
        draw.line(piece, fill=fill, width=width)


def _pieces(points: Sequence[Point], dashes: Sequence[int]) -> Iterator[tuple[Point, Point]]:
    """The parts that are on; a pattern goes on around corners."""
    pattern = cycle(zip(dashes, cycle((True, False)), strict=False))
    left, on = 0.0, False
    for (x0, y0), (x1, y1) in pairwise(points):
        whole = float(np.hypot(x1 - x0, y1 - y0))
        done = 0.0
        while done < whole:
            if left <= 1e-9:
                left, on = next(pattern)
            step = min(left, whole - done)
            if on:
                ends = [
                    (x0 + (x1 - x0) * at / whole, y0 + (y1 - y0) * at / whole)
                    for at in (done, done + step)
                ]
                yield ends[0], ends[1]
            done += step
            left -= step


def draw_marks(picture: Image.Image, marks: Sequence[Mark], width: int, height: int) -> None:
    """Draw boxes on a small copy of a picture, the compared one, which comes first, on top.

    Args:
        picture: The copy.
        marks: Boxes in pixels of the original.
        width: Of the original.
        height: Of the original.
    """
    draw = ImageDraw.Draw(picture)
    across, down = picture.width / width, picture.height / height
    for mark in reversed(marks):
        # Pixel centres lie at halves, and Pillow counts them from 0.
        corners = [
            (mark.polygon[at] * across - 0.5, mark.polygon[at + 1] * down - 0.5)
            for at in (0, 2, 4, 6, 0)
        ]
        style, wide = STYLES[mark.kind], 3 if mark.compared else 2
        line(draw, corners, PAPER, wide + 2)
        line(draw, corners, style.colour, wide, style.dashes)


def draw_panel(draw: ImageDraw.ImageDraw, panel: Panel, box: tuple[int, int, int, int]) -> None:
    """Draw a diagram.

    Args:
        draw: Of the sheet.
        panel: What to draw.
        box: Left, top, width and height of all of it.
    """
    left, top = box[0] + _LEFT, box[1] + _TOP
    wide, high = box[2] - _LEFT - 12, box[3] - _TOP - _BOTTOM
    text(draw, (box[0], box[1]), panel.title, 18)
    for share in panel.share_ticks():
        level = top + high * (1 - share / panel.top)
        line(draw, [(left, level), (left + wide, level)], GRID, 1)
        text(draw, (left - 8, level), f"{100 * share:g} %", 14, SOFT, "rm")
    for tick in panel.ticks:
        at = left + wide * float(panel.across(tick))
        line(draw, [(at, top), (at, top + high)], GRID, 1)
        text(draw, (at, top + high + 6), f"{tick:g}", 14, SOFT, "ma")
    text(draw, (left + wide / 2, top + high + 26), panel.axis, 14, INK, "ma")
    for number, one in enumerate(panel.lines):
        colour, dashes = _LINES[one.kind]
        xs = left + wide * panel.across(one.at)
        ys = top + high * (1 - one.shares / panel.top)
        line(draw, list(zip(xs.tolist(), ys.tolist(), strict=True)), colour, 3, dashes)
        if len(panel.lines) < 2:
            continue
        level = top + 8 + 20 * number
        line(draw, [(left + wide - 250, level), (left + wide - 212, level)], colour, 3, dashes)
        text(draw, (left + wide - 204, level), one.says, 14, INK, "lm")
    at = left + wide * float(panel.across(panel.mark))
    line(draw, [(at, top), (at, top + high)], INK, 1, (4, 4))
    aside, anchor = (6, "ls") if at < left + 0.7 * wide else (-6, "rs")
    text(draw, (at + aside, top + high - 8), panel.mark_says, 14, INK, anchor)
