"""A smooth picture, and pictures as files."""

import io
from typing import Any

import numpy as np
from PIL import Image


def encoded(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, file_format, **options)
    return sink.getvalue()


def picture(size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Smooth colours, so that lossy codecs stay near."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    array = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1)
    return Image.fromarray(array.astype(np.uint8))
