"""What is wrong with one pair, judged alone. Duplicates are not: assembly sees all shards."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from openmofi.images import ImageProblemError, decode_image, perceptual_hash
from openmofi.records import Status

_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


@dataclass(frozen=True)
class Judgement:
    """A sample's status, its size after the EXIF turn (0: unknown) and its perceptual hash."""

    status: Status
    reason: str | None = None
    width: int = 0
    height: int = 0
    phash: int | None = None


def judge(image: bytes | None, alt_text: str, limits: Mapping[str, int | float]) -> Judgement:
    """Check the image first, then the text; the first problem found is the status.

    Args:
        image: The file's bytes, or None.
        alt_text: Cleaned.
        limits: See `IngestConfig.checks`.
    """
    if image is None:
        return Judgement(Status.MISSING_IMAGE, "no image file")
    try:
        pixels = decode_image(image, max_pixels=int(limits["max_pixels"]))
    except ImageProblemError as problem:
        return Judgement(problem.status, problem.reason)
    width, height = pixels.size
    short, long = min(width, height), max(width, height)
    if short < limits["min_side"]:
        reason = f"{width} x {height} pixels, the shorter side must have {limits['min_side']}"
        return Judgement(Status.TOO_SMALL, reason, width, height)
    if long > short * limits["max_aspect"]:
        reason = f"{width} x {height} pixels, at most 1 : {limits['max_aspect']:g}"
        return Judgement(Status.BAD_ASPECT, reason, width, height)
    status, reason = _judge_text(alt_text, limits)
    if status != Status.OK:
        return Judgement(status, reason, width, height)
    return Judgement(Status.OK, None, width, height, perceptual_hash(pixels))


def _judge_text(text: str, limits: Mapping[str, int | float]) -> tuple[Status, str]:
    if not text:
        return Status.NO_TEXT, "no alt text"
    if len(text) < limits["min_text_chars"]:
        return Status.SHORT_TEXT, f"{len(text)} characters, at least {limits['min_text_chars']}"
    if len(text) > limits["max_text_chars"]:
        return Status.LONG_TEXT, f"{len(text)} characters, at most {limits['max_text_chars']}"
    return Status.OK, ""


def true_extension(image: bytes, named: str) -> str:
    """The extension that the bytes deserve; what the source said where they can't be told."""
    try:
        found = Image.open(io.BytesIO(image)).format
    except Exception:  # Pillow's plug-ins raise nearly anything on hostile bytes
        found = None
    if found is None:
        return named if named.isalnum() and named not in ("txt", "json") else "bin"
    return _EXTENSIONS.get(found, found.lower())
