"""Image bytes to pixels, once and the same way for every stage; and what identifies an image."""

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import imagehash
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from openmofi.keys import hash_bytes, hash_json
from openmofi.records import Status

if TYPE_CHECKING:
    from openmofi.stage import ShardInput

# Pillow's own limit is a process-wide warning; ours is an argument, checked on the header.
Image.MAX_IMAGE_PIXELS = None

# Pillow would start Ghostscript for EPS and knows many parsers that no web page needs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")

MAX_PIXELS = 89_478_485  # Pillow's default bound: 256 MiB of RGB


class ImageProblemError(Exception):
    """An image that cannot be used: a status of the closed list, and the reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def decode_image(
    data: bytes, *, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Image.Image:
    """Decode to RGB: first frame, EXIF turned, transparency laid on white, 16 bits scaled to 8.

    Args:
        data: The file's bytes: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000 or PPM.
        max_pixels: Bound on width x height, checked on the header before pixels are decoded.
        least_side: Pixels that the shorter side must keep. Given, a larger JPEG is decoded at the
            smallest of 1/1, 1/2, 1/4 and 1/8 that keeps them, which its discrete cosine transform
            gives nearly for free; other formats and ``None``: full size.

    Raises:
        ImageProblemError: With status ``too_many_pixels`` or ``corrupt_image``.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        width, height = image.size
    except Exception as error:  # Pillow's plug-ins raise nearly anything on hostile bytes
        raise ImageProblemError(Status.CORRUPT_IMAGE, _sentence(error)) from error
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels, at most {max_pixels} are decoded"
        raise ImageProblemError(Status.TOO_MANY_PIXELS, reason)
    try:
        if least_side is not None:
            image.draft(None, (least_side, least_side))
        image.load()
        return _to_rgb(_turned(image))
    except Exception as error:
        raise ImageProblemError(Status.CORRUPT_IMAGE, _sentence(error)) from error


def _turned(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF beside sound pixels: shown unturned, as browsers do
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would clip
        values = np.asarray(image).astype(np.float64)
        scaled = (np.clip(values, 0, 65535) / 257).round().astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _sentence(error: Exception) -> str:
    """What a decoder says, the same in every run: Pillow names objects by their addresses."""
    if isinstance(error, UnidentifiedImageError):
        return "the file is in no image format that is read"
    text = re.sub(r"<[^<>]* object\b[^<>]*>", "the file", str(error))
    text = " ".join(text.split())
    return text if isinstance(error, OSError) and text else f"{type(error).__name__}: {text}"


def image_id(data: bytes) -> str:
    """32 hex digits: 128-bit hash of the image file's bytes."""
    return hash_bytes(data)


def sample_uid(image: str | None, alt_text: str, title: str | None) -> str:
    """32 hex digits of an image id and its texts."""
    return hash_json([image, alt_text, title])


def perceptual_hash(image: Image.Image) -> int:
    """64-bit DCT hash; near-duplicates differ in few bits. Unsigned."""
    return int(str(imagehash.phash(image)), 16)


def decoded_samples(
    shard: "ShardInput", *, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[int, Image.Image | None, Status]]:
    """Row, decoded image and status of every sample of a pool shard, in order.

    Samples that ingest refused come as ``(row, None, SKIPPED)``; those that do not decode here,
    as ``(row, None, FAILED)``.
    """
    samples = shard.table("samples")
    columns = (samples.column(name).to_pylist() for name in ("status", "offset", "length"))
    with shard.tar() as tar:
        for row, (status, offset, length) in enumerate(zip(*columns, strict=True)):
            if status != Status.OK:
                yield row, None, Status.SKIPPED
                continue
            try:
                yield row, decode_image(tar.read(offset, length), max_pixels=max_pixels), Status.OK
            except ImageProblemError:
                yield row, None, Status.FAILED
