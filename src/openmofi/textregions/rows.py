"""Boxes as rows of the table, one for each image, whatever becomes of it."""

from collections.abc import Iterable, Iterator
from typing import Any

from PIL import Image

from openmofi.records import Status
from openmofi.textregions.boxes import Box, polygon_area
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import TextDetector

_BATCHES_AT_ONCE = 4  # decoded images from which a GPU's batches of one size are drawn


def region_rows(
    detector: TextDetector,
    images: Iterable[tuple[Image.Image | None, Status]],
    config: DetectConfig,
) -> Iterator[dict[str, Any]]:
    """Rows of `records.TEXT_REGIONS` in the order of the images.

    Args:
        detector: Of ``config``.
        images: Decoded, or None with the status that says why not.
        config: How many images are looked at together: one on a CPU.
    """
    at_once = _BATCHES_AT_ONCE * config.batch_size if config.device == "cuda" else 1
    waiting: list[tuple[Image.Image | None, Status]] = []
    for one in images:
        waiting.append(one)
        if len(waiting) == at_once:
            yield from _rows(detector, waiting)
            waiting = []
    yield from _rows(detector, waiting)


def _rows(
    detector: TextDetector, images: list[tuple[Image.Image | None, Status]]
) -> Iterator[dict[str, Any]]:
    usable = [image for image, _ in images if image is not None]
    found = iter(_found(detector, usable))
    for image, status in images:
        boxes = next(found) if image is not None else []
        if boxes is None:
            yield _row([], 1, Status.FAILED)
        else:
            yield _row(boxes, image.width * image.height if image else 1, status)


def _found(detector: TextDetector, images: list[Image.Image]) -> list[list[Box] | None]:
    """Boxes of each image; None where the detector failed."""
    if not images:
        return []
    try:
        return [*detector.detect_all(images)]
    except Exception:  # one odd picture must not take the others with it
        return [None] if len(images) == 1 else [_found(detector, [one])[0] for one in images]


def _row(boxes: list[Box], area: int, status: Status) -> dict[str, Any]:
    return {
        "boxes": [list(box.polygon) for box in boxes],
        "confidences": [box.confidence for box in boxes],
        "detector_confidences": [box.detector_confidence for box in boxes],
        # Rounding must not make the whole picture more than that.
        "areas": [min(1.0, polygon_area(box.polygon) / area) for box in boxes],
        "status": str(status),
    }
