"""Text regions as numbers: what networks give, and what is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # [height, width, 3], blue green red
Corners = npt.NDArray[np.float32]  # [4, 2] x and y, clockwise from top left


class Region(NamedTuple):
    """What a detection network says about one place."""

    corners: Corners  # in pixels of the picture that it was given
    confidence: float  # mean of the text map inside, 0 to 1


class Backend(Protocol):
    """A detection network behind its library: pixels to regions, and nothing else.

    Decoding, padding, tiling and the second look are not its business; see `detector`.
    """

    def regions(self, pictures: Sequence[Pixels]) -> list[list[Region]]:
        """Regions of each of some pictures of one and the same size.

        Args:
            pictures: ``uint8[height, width, 3]`` in blue, green, red; sides of 32 pixels or more,
                the long one at most ``input_limit``.
        """


@dataclass(frozen=True)
class Box:
    """One text region: four corners in pixels of the picture, clockwise from top left."""

    polygon: tuple[float, ...]  # x0 y0 … x3 y3
    confidence: float  # that it is text, 0 to 1; after the second look if there was one
    detector_confidence: float  # mean of the text map inside, 0 to 1


def polygon_area(polygon: Sequence[float] | Corners) -> float:
    """Area in square pixels, by the shoelace formula."""
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    return float(abs(cross.sum()) / 2)
