"""What of a picture a network sees, at which size, and where its findings lie in the picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from openmofi.textregions.boxes import Corners, Pixels, Region, polygon_area

STRIDE = 32  # networks of this kind take sides in multiples of it
_OVERLAP = 8  # tiles share this part of their side, so that words on a seam stand whole in one
_WORTHWHILE = 1.5  # pictures less than so many times the limit are only shrunk
_SAME_PLACE = 0.5  # share of a region inside another, from which both are one finding
_SAME_SIZE = 4.0  # times; what lies inside a much larger region is a finding of its own
_LARGE = 0.25  # share of a tile
_EDGE = 2.0  # pixels of a tile


@dataclass(frozen=True)
class View:
    """A part of a picture, in its pixels, and the size of its image for the network.

    Args:
        left, top, right, bottom: The part; it may reach beyond the picture, which is then padded.
        width, height: What it is resized to: multiples of `STRIDE`.
        is_tile: A piece of the picture, at whose edges words may be cut.
    """

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    is_tile: bool = False

    def pixels(self, picture: Pixels) -> Pixels:
        """``uint8[height, width, 3]``, padded with the mean colour."""
        import cv2

        part = _padded(picture[self.top : self.bottom, self.left : self.right], self)
        if part.shape[:2] == (self.height, self.width):
            return np.ascontiguousarray(part)
        much_smaller = part.shape[0] * part.shape[1] > 4 * self.height * self.width
        method = cv2.INTER_AREA if much_smaller else cv2.INTER_LINEAR
        return cast("Pixels", cv2.resize(part, (self.width, self.height), interpolation=method))

    def placed(self, region: Region, picture: Pixels) -> Region | None:
        """The region in the picture's pixels; None if it does not count.

        It does not if it lies in the padding alone, or is large in a tile: a plain surface is
        framed there as a whole, and large words are found in the whole picture.
        """
        if self.is_tile and polygon_area(region.corners) > _LARGE * self.width * self.height:
            return None
        scale = _pair((self.right - self.left) / self.width, (self.bottom - self.top) / self.height)
        corners = region.corners * scale + _pair(self.left, self.top)
        height, width = picture.shape[:2]
        inside = np.clip(corners, 0, _pair(width, height))
        return Region(inside, region.confidence) if polygon_area(inside) > 0 else None

    def cuts(self, region: Region) -> bool:
        """Whether a region, in the view's own pixels, reaches the edge of a tile."""
        low, high = region.corners.min(axis=0), region.corners.max(axis=0)
        size = _pair(self.width, self.height)
        return self.is_tile and bool((low < _EDGE).any() or (high > size - _EDGE).any())


def whole(width: int, height: int, *, limit: int, enlarged: float = 1.0) -> View:
    """The whole picture, shrunk to ``limit`` if it is larger.

    Thin pictures are padded, at the bottom or right, so that the short side keeps 32 pixels once
    shrunk; without that they would count as free of text.

    Args:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        limit: Pixels of the long side.
        enlarged: How much smaller pictures are enlarged, as far as ``limit`` allows.
    """
    scale = min(enlarged, limit / max(width, height))
    right, bottom = (max(side, math.ceil(STRIDE / scale)) for side in (width, height))
    across, down = (
        max(STRIDE, round(int(side * scale) / STRIDE) * STRIDE) for side in (right, bottom)
    )
    return View(0, 0, right, bottom, across, down)


def tiles(width: int, height: int, *, limit: int, most: int) -> list[View]:
    """Overlapping pieces of a large picture, in which words keep their pixels.

    Args:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        limit: Pixels of a piece's side, as the network sees it.
        most: Pieces; a picture that would need more is cut into larger ones, which are shrunk.

    Returns:
        None for a picture that `whole` hardly shrinks.
    """
    if max(width, height) <= _WORTHWHILE * limit or most < 1:
        return []
    limit = limit // STRIDE * STRIDE
    side = limit
    while math.prod(len(_starts(length, side)) for length in (width, height)) > most:
        side += STRIDE * max(1, side // (8 * STRIDE))
    if side >= max(width, height):
        return []
    found = []
    for top in _starts(height, side):
        for left in _starts(width, side):
            right, bottom = min(left + side, width), min(top + side, height)
            part = whole(right - left, bottom - top, limit=limit)
            right, bottom = left + part.right, top + part.bottom
            found.append(View(left, top, right, bottom, part.width, part.height, is_tile=True))
    return found


def distinct(regions: Sequence[Region], cut: Sequence[bool]) -> list[int]:
    """Which findings of several views to keep, so that each place is there once.

    Args:
        regions: In pixels of the picture.
        cut: Whether a tile's edge cut each. Whole ones are kept first, then the surer ones.

    Returns:
        Their numbers, rising.
    """
    bounds = [_bounds(region.corners) for region in regions]
    kept: list[int] = []
    for number in sorted(range(len(regions)), key=lambda n: (cut[n], -regions[n].confidence)):
        near = (other for other in kept if _meet(bounds[number], bounds[other]))
        if not any(_is_same(regions[number], cut[number], regions[other]) for other in near):
            kept.append(number)
    return sorted(kept)


def _padded(part: Pixels, view: View) -> Pixels:
    height, width = part.shape[:2]
    missing = view.bottom - view.top - height, view.right - view.left - width
    if not any(missing):
        return part
    padded = np.empty((height + missing[0], width + missing[1], 3), dtype=np.uint8)
    padded[:] = part.mean(axis=(0, 1)).round().astype(np.uint8)
    padded[:height, :width] = part
    return padded


def _starts(length: int, side: int) -> list[int]:
    """Where pieces of ``side`` begin that cover ``length`` and overlap."""
    if length <= side:
        return [0]
    count = math.ceil((length - side) / (side - side // _OVERLAP)) + 1
    return [round(number * (length - side) / (count - 1)) for number in range(count)]


def _pair(x: float, y: float) -> npt.NDArray[np.float32]:
    return np.array((x, y), np.float32)


def _bounds(corners: Corners) -> npt.NDArray[np.float32]:
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def _meet(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    return bool((one[:2] < other[2:]).all() and (other[:2] < one[2:]).all())


def _is_same(region: Region, cut: bool, kept: Region) -> bool:
    import cv2

    area, other = polygon_area(region.corners), polygon_area(kept.corners)
    shared, _ = cv2.intersectConvexConvex(region.corners, kept.corners)
    return shared >= _SAME_PLACE * area and (cut or other <= _SAME_SIZE * area)
