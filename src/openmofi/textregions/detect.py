"""`detect_text`: the text regions of every sample, with confidences and areas. No decision."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openmofi.config import parse_config
from openmofi.images import decoded_samples
from openmofi.records import TEXT_REGIONS, from_rows
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import detector_digests, load_detector
from openmofi.textregions.rows import region_rows
from openmofi.versions import read_table_version
from openmofi.work import align

if TYPE_CHECKING:
    from openmofi.textregions.detector import TextDetector

STAGE_VERSION = 2


def detect_text(samples: str, *, config: Mapping[str, Any] | None = None, workers: int = 1) -> str:
    """Detect text in every usable image of a pool.

    Args:
        samples: Manifest URI of kind ``samples``.
        config: Values of `DetectConfig`.
        workers: Processes. Each runs the detector on one thread.

    Returns:
        Manifest URI of kind ``text_regions``.

    Raises:
        InputError: A model or package is missing; said before any image is read.
    """
    parsed = parse_config(DetectConfig, config, where="text detection config")
    digests = detector_digests(parsed)
    store, version = read_table_version(samples, "samples")
    work = align({"samples": version})
    return run_stage(DetectText(parsed, digests), store, work, workers=workers)


class DetectText:
    """The stage. Boxes are kept down to the configured confidence; assembly cuts."""

    name = "text_regions"
    version = STAGE_VERSION

    def __init__(self, config: DetectConfig, digests: Mapping[str, str]) -> None:
        self._config = config
        self._digests = digests
        self._detector: TextDetector | None = None

    def semantic_config(self) -> Mapping[str, Any]:
        """Every value that can change boxes."""
        return self._config.semantic()

    def digests(self) -> Mapping[str, str]:
        """Of the weights of the detector and of the reader."""
        return self._digests

    def setup(self) -> None:
        """Load the detector."""
        self._detector = load_detector(self._config)

    def process(self, shard: ShardInput) -> StageOutput:
        """One row of regions a sample, in order."""
        assert self._detector is not None, "setup() runs first"
        samples = decoded_samples(shard, max_pixels=self._config.max_pixels)
        images = ((image, status) for _, image, status in samples)
        rows = list(region_rows(self._detector, images, self._config))
        counts = Counter(str(row["status"]) for row in rows)
        boxes = sum(len(row["boxes"]) for row in rows)
        with_text = sum(bool(row["boxes"]) for row in rows)
        return StageOutput(
            table=from_rows(rows, TEXT_REGIONS),
            counts=counts,
            totals={"boxes": boxes, "images_with_boxes": with_text},
        )
