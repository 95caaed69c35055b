"""Small copies of the pictures shown, so small that a page of them has a bound."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from openmofi.errors import InputError
from openmofi.images import ImageProblemError, decode_image
from openmofi.progress import bar
from openmofi.textregions.boxes import polygon_area
from openmofi.textregions.preview.source import Ints, Regions, Source

_SIDES = (320, 256, 208, 160, 128, 96, 64)  # pixels of the longer side, the first that fits
_QUALITIES = (82, 70, 55)
_PREFIX = "data:image/jpeg;base64,"
_TOLERANCE = 0.05  # of the area of a whole picture, as told by its boxes


class Thumbnail(NamedTuple):
    """A small JPEG without the original's metadata."""

    jpeg: bytes
    width: int  # of the original after the EXIF turn, in which boxes are measured
    height: int

    def data_uri(self, most_bytes: int) -> str:
        """It, or a smaller copy, in at most so many characters; the smallest if none fits."""
        jpeg = self.jpeg
        if _encoded_length(jpeg) > most_bytes:
            picture = Image.open(io.BytesIO(jpeg))
            for side, quality in ((s, q) for s in _SIDES for q in _QUALITIES):
                jpeg = _jpeg(picture, side, quality)
                if _encoded_length(jpeg) <= most_bytes:
                    break
        return _PREFIX + base64.b64encode(jpeg).decode()


class Shown(NamedTuple):
    """A picture with its regions."""

    regions: Regions
    thumbnail: Thumbnail | None  # none: there is no picture, or it does not decode


def read_shown(source: Source, rows: Sequence[int] | Ints) -> Mapping[int, Shown]:
    """The pictures of some rows, by row. Only these are read and decoded, one at a time.

    Raises:
        InputError: A picture is another than its regions were found in.
    """
    found = {}
    wanted = sorted(int(row) for row in rows)
    chosen = source.chosen(np.asarray(wanted, dtype=np.int64))
    for regions, data in bar(chosen, label="pictures", unit="image", total=len(wanted)):
        thumbnail = None if data is None else thumbnail_of(data)
        if thumbnail is not None:
            _check_same(source.name, regions, thumbnail)
        found[regions.row] = Shown(regions, thumbnail)
    return found


def thumbnail_of(data: bytes) -> Thumbnail | None:
    """A copy of at most 320 pixels a side, or none if it does not decode."""
    try:
        picture = decode_image(data)
    except ImageProblemError:
        return None
    return Thumbnail(_jpeg(picture, _SIDES[0], _QUALITIES[0]), picture.width, picture.height)


def _jpeg(picture: Image.Image, side: int, quality: int) -> bytes:
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    sink = io.BytesIO()
    small.save(sink, "JPEG", quality=quality, optimize=True)
    return sink.getvalue()


def _encoded_length(jpeg: bytes) -> int:
    return len(_PREFIX) + 4 * ((len(jpeg) + 2) // 3)


def _check_same(name: str, regions: Regions, thumbnail: Thumbnail) -> None:
    """A box and its share of the picture say how large the picture is."""
    for polygon, share in zip(regions.polygons, regions.areas.tolist(), strict=True):
        told = polygon_area(polygon)
        actual = share * thumbnail.width * thumbnail.height
        # Of tiny boxes, shortened numbers say too little.
        if max(told, actual) > 50 and abs(told - actual) > _TOLERANCE * max(told, actual):
            raise InputError(
                f"picture '{regions.shard}/{regions.key}' has {thumbnail.width} x "
                f"{thumbnail.height} pixels, and {name} tells of another size; the regions were "
                "made from other pairs"
            )
