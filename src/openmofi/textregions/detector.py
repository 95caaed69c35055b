"""Where text stands in a picture: the PP-OCR detector behind one method."""

import contextlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmofi.errors import InputError
from openmofi.keys import hash_file
from openmofi.textregions.config import DetectConfig

_MODEL = "PP-OCRv6_det_small.onnx"
_STRIDE = 32  # the network wants sides in multiples of it, and rapidocr rounds short ones to 0


@dataclass(frozen=True)
class Box:
    """One text region: four corners in pixels of the picture, clockwise from top left."""

    polygon: tuple[float, ...]  # x0 y0 … x3 y3
    confidence: float  # mean of the text map inside, 0 to 1


class TextDetector(Protocol):
    """Anything that finds text in a picture."""

    def detect(self, image: Image.Image) -> list[Box]:
        """The text regions of an RGB picture, each with its own confidence."""


def load_detector(config: DetectConfig) -> TextDetector:
    """The detector that ``config`` names, ready to use."""
    return RapidOcrDetector(config)


def detector_digest() -> str:
    """Digest of the weights that `load_detector` would load, without loading them."""
    return hash_file(_model_path())


def polygon_area(polygon: tuple[float, ...]) -> float:
    """Area in square pixels, by the shoelace formula."""
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    return float(abs(cross.sum()) / 2)


class RapidOcrDetector:
    """PP-OCRv6 small in ONNX, out of the rapidocr wheel: no network, no file of ours.

    rapidocr's own defaults are another model's: they enlarge small pictures (14 times the CPU) and
    let precision fall. These are the values that the weights were published with.
    """

    def __init__(self, config: DetectConfig) -> None:
        self._limit = config.input_limit
        model = _model_path()
        _use_one_thread()
        from rapidocr import RapidOCR

        engine: Any = RapidOCR(params=_parameters(config, model))
        # The public call crops every box and hands scores over in another order than boxes. The
        # method is private, so pyproject holds rapidocr at 3.10.*.
        self._detector: Any = engine._load_det_model()
        self._detector.sorted_boxes = lambda boxes: boxes

    def detect(self, image: Image.Image) -> list[Box]:
        """The text regions of an RGB picture.

        Pictures are shrunk to the input limit and never enlarged. Thin ones are padded so that the
        short side keeps 32 pixels after shrinking; without that they would count as free of text.
        Text that shrinking leaves under about 8 pixels is missed all the same.
        """
        width, height = image.size
        bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        result = self._detector(pad_thin(bgr, self._limit))
        if result.boxes is None:
            return []
        limits = np.array([width, height], dtype=np.float32)
        boxes = []
        for corners, score in zip(result.boxes, result.scores, strict=True):
            inside = np.clip(np.asarray(corners, dtype=np.float32), 0, limits)
            polygon = tuple(float(value) for value in inside.reshape(-1))
            if polygon_area(polygon) > 0:  # a box in the padding alone
                boxes.append(Box(polygon, float(score)))
        return boxes


def pad_thin(pixels: npt.NDArray[np.uint8], limit: int) -> npt.NDArray[np.uint8]:
    """Pad at the bottom and right so that each side is 32 pixels or more once shrunk to ``limit``.

    Args:
        pixels: [height, width, 3].
        limit: Length in pixels to which the long side will be shrunk, if it is longer.

    Returns:
        [height', width', 3], filled with the mean colour; the same array if it is not thin.
    """
    height, width = pixels.shape[:2]
    shrinking = max(1.0, max(height, width) / limit)
    shortest = int(np.ceil(_STRIDE * shrinking))
    missing = max(0, shortest - height), max(0, shortest - width)
    if not any(missing):
        return pixels
    padded = np.empty((height + missing[0], width + missing[1], 3), dtype=np.uint8)
    padded[:] = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    padded[:height, :width] = pixels
    return padded


def _parameters(config: DetectConfig, model: Path) -> dict[str, Any]:
    return {
        "Global.use_cls": False,
        "Global.use_rec": False,
        "Global.log_level": "critical",
        "Global.use_preprocess_img": False,
        "Global.use_vertical_padding": False,
        "Det.model_path": str(model),
        "Det.limit_type": "max",
        "Det.limit_side_len": config.input_limit,
        "Det.mean": [0.485, 0.456, 0.406],
        "Det.std": [0.229, 0.224, 0.225],
        "Det.thresh": config.pixel_threshold,
        "Det.box_thresh": config.min_confidence,
        "Det.unclip_ratio": config.unclip_ratio,
        "Det.use_dilation": False,
        "Det.max_candidates": 3000,
        # Two threads cost twice the CPU a picture: one thread a process, scale by processes.
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }


def _use_one_thread() -> None:
    with contextlib.suppress(ImportError):  # the missing package is named by the import after it
        import cv2

        cv2.setNumThreads(1)


def _model_path() -> Path:
    found = importlib.util.find_spec("rapidocr")
    if found is None or found.origin is None:
        raise InputError("text detection needs rapidocr; install openmofi with the extra 'curate'")
    path = Path(found.origin).parent / "models" / _MODEL
    if not path.is_file():
        raise InputError(f"rapidocr holds no {_MODEL}; install rapidocr 3.10")
    return path
