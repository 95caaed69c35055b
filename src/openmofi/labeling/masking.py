"""Text covered up: each region filled with the average colour of what surrounds it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Polygons = npt.NDArray[np.float32]  # [n, 4, 2] x and y of corners, in pixels
Corners = npt.NDArray[np.float32]  # [4, 2]
Flags = npt.NDArray[np.bool_]

# How wide the band is that says what surrounds a region: a share of its shorter side, in pixels at
# least. Wider ones would reach past what the text stands on.
_BAND = 0.25
_LEAST_BAND = 3

_COMPASS = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])


@dataclass(frozen=True, eq=False)
class Mask:
    """Regions of one picture that are covered before it is embedded; sent to the workers.

    Args:
        polygons: In pixels of the EXIF-turned original.
        width: Of that original, pixels.
        height: Of that original, pixels.
    """

    polygons: Polygons
    width: int
    height: int

    def __call__(self, image: Image.Image) -> tuple[Image.Image, float]:
        """The covered picture, and which share of it was covered."""
        shrunk = np.array([image.width / self.width, image.height / self.height], np.float32)
        return cover_regions(image, self.polygons * shrunk)


def cover_regions(image: Image.Image, polygons: Polygons) -> tuple[Image.Image, float]:
    """Fill every polygon, with all pixels that its edges touch.

    The colour is the mean of a band around the polygon, outside all of them; where there is no such
    pixel, the mean of all that is outside; and of the whole picture where nothing is.

    Args:
        image: RGB.
        polygons: In its pixels; what lies beyond its edges is left out.

    Returns:
        The picture, and the share of its pixels that were filled.
    """
    polygons = np.rint(polygons)  # so that a part of the canvas shows the same pixels as the whole
    pixels = np.array(image)
    hidden = _drawn(image.size, polygons)
    outside = None
    for polygon in polygons:
        band = max(_LEAST_BAND, round(_BAND * _shorter_side(polygon)))
        left, top, right, bottom = _window(polygon, band, image.size)
        if left >= right or top >= bottom:
            continue
        size = right - left, bottom - top
        moved = polygon[None] - np.array([left, top], np.float32)
        around = _drawn(size, moved, band) & ~hidden[top:bottom, left:right]
        # Bands hold no pixel that is filled, so what was filled before changes no colour.
        window = pixels[top:bottom, left:right]
        if around.any():
            colour = window[around].mean(axis=0)
        else:  # once a picture: pages of print have many such regions
            colour = outside = _colour_outside(pixels, hidden) if outside is None else outside
        window[_drawn(size, moved)] = colour.round()
    return Image.fromarray(pixels), float(hidden.mean())


def _drawn(size: tuple[int, int], polygons: Polygons, band: int = 0) -> Flags:
    """Which pixels of a canvas the polygons touch; with a band, from ``band`` pixels around too."""
    canvas = Image.new("1", size)
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        # Copies all around: Pillow's wide lines lean to one side and leave corners open.
        for step in np.rint(band * _COMPASS) if band else np.zeros((1, 2)):
            draw.polygon((polygon + step).ravel().tolist(), fill=1, outline=1)
    return np.array(canvas)


def _window(polygon: Corners, band: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a picture that a polygon and its band can touch."""
    low = polygon.min(axis=0).astype(int) - band
    high = polygon.max(axis=0).astype(int) + band + 1
    (left, top), (right, bottom) = np.clip(low, 0, size), np.clip(high, 0, size)
    return int(left), int(top), int(right), int(bottom)


def _shorter_side(polygon: Corners) -> float:
    return float(np.linalg.norm(polygon - np.roll(polygon, -1, axis=0), axis=1).min())


def _colour_outside(pixels: npt.NDArray[np.uint8], hidden: Flags) -> npt.NDArray[np.float64]:
    outside = pixels if hidden.all() else pixels[~hidden]
    return np.asarray(outside.reshape(-1, 3).mean(axis=0))
