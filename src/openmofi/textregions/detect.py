"""`detect_text`: the text regions of every sample, with confidences and areas. No decision."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from PIL import Image

from openmofi.config import parse_config
from openmofi.images import decoded_samples
from openmofi.records import TEXT_REGIONS, Status, from_rows
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import (
    Box,
    TextDetector,
    detector_digest,
    load_detector,
    polygon_area,
)
from openmofi.versions import read_table_version
from openmofi.work import align

STAGE_VERSION = 1


def detect_text(samples: str, *, config: Mapping[str, Any] | None = None, workers: int = 1) -> str:
    """Detect text in every usable image of a pool.

    Args:
        samples: Manifest URI of kind ``samples``.
        config: Values of `DetectConfig`.
        workers: Processes. Each runs the detector on one thread.

    Returns:
        Manifest URI of kind ``text_regions``.
    """
    parsed = parse_config(DetectConfig, config, where="text detection config")
    store, version = read_table_version(samples, "samples")
    work = align({"samples": version})
    return run_stage(DetectText(parsed, detector_digest()), store, work, workers=workers)


class DetectText:
    """The stage. Boxes are kept down to the configured confidence; assembly cuts."""

    name = "text_regions"
    version = STAGE_VERSION

    def __init__(self, config: DetectConfig, digest: str) -> None:
        self._config = config
        self._digest = digest
        self._detector: TextDetector | None = None

    def semantic_config(self) -> Mapping[str, Any]:
        """Every value of the config: all of them change boxes."""
        return self._config.model_dump()

    def digests(self) -> Mapping[str, str]:
        """Of the detector's weights."""
        return {"detector": self._digest}

    def setup(self) -> None:
        """Load the detector."""
        self._detector = load_detector(self._config)

    def process(self, shard: ShardInput) -> StageOutput:
        """One row of regions a sample, in order."""
        assert self._detector is not None, "setup() runs first"
        rows = []
        for _, image, status in decoded_samples(shard, max_pixels=self._config.max_pixels):
            rows.append(regions_of(self._detector, image, status))
        counts = Counter(str(row["status"]) for row in rows)
        boxes = sum(len(row["boxes"]) for row in rows)
        with_text = sum(bool(row["boxes"]) for row in rows)
        return StageOutput(
            table=from_rows(rows, TEXT_REGIONS),
            counts=counts,
            totals={"boxes": boxes, "images_with_boxes": with_text},
        )


def regions_of(detector: TextDetector, image: Image.Image | None, status: Status) -> dict[str, Any]:
    """One row of the table: boxes, confidences and areas of an image, or its status alone."""
    boxes: list[Box] = []
    area = 1
    if image is not None:
        area = image.width * image.height
        try:
            boxes = detector.detect(image)
        except Exception:  # one odd picture must not take its shard with it
            status = Status.FAILED
    return {
        "boxes": [list(box.polygon) for box in boxes],
        "confidences": [box.confidence for box in boxes],
        "areas": [polygon_area(box.polygon) / area for box in boxes],
        "status": str(status),
    }
