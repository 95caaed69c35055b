"""Random resized crop, as a function of given numbers."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

DRAWS = 5

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "random": Image.Resampling.BICUBIC,
}


class Augmentation:
    """Crops a random part of an image and brings it to the model's size.

    Args:
        size: Height and width that the model takes, pixels.
        crop_area: Share of the image's area, from … to, drawn uniformly.
        crop_aspect: Width / height of the crop, from … to, drawn uniformly in the logarithm.
        flip: Mirror every second image.
        interpolation: ``bicubic`` or ``bilinear``.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        crop_area: tuple[float, float],
        crop_aspect: tuple[float, float],
        flip: bool,
        interpolation: str = "bicubic",
    ) -> None:
        self.size = size
        self._area = crop_area
        self._aspect = crop_aspect
        self._flip = flip
        self._filter = _FILTERS[interpolation]

    def __call__(self, image: Image.Image, draws: list[float]) -> npt.NDArray[np.uint8]:
        """``uint8[H, W, 3]`` of one RGB image; ``draws`` are `DRAWS` numbers in [0, 1)."""
        height, width = self.size
        box = self.crop_box(image.width, image.height, draws)
        crop = image.resize((width, height), self._filter, box=box)
        if self._flip and draws[4] < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(crop)

    def crop_box(
        self, width: int, height: int, draws: list[float]
    ) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the crop, in pixels.

        A crop that is too wide or too high for the image is cut to it.
        """
        area = width * height * _between(self._area, draws[0])
        low, high = (math.log(value) for value in self._aspect)
        aspect = math.exp(_between((low, high), draws[1]))
        crop_width = min(math.sqrt(area * aspect), float(width))
        crop_height = min(math.sqrt(area / aspect), float(height))
        left = draws[2] * (width - crop_width)
        top = draws[3] * (height - crop_height)
        return left, top, min(left + crop_width, width), min(top + crop_height, height)


def _between(bounds: tuple[float, float], draw: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * draw
