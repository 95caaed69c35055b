"""PP-OCR in ONNX, out of the rapidocr wheel: no network, no file of ours."""

import contextlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.textregions.boxes import Pixels, Region
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.opencv import check_opencv
from openmofi.workers import one_line

MODEL = "PP-OCRv6_det_small.onnx"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FINE = 4  # the library rounds corners to whole pixels of the size that it is told


class RapidOcrBackend:
    """PP-OCRv6 small, or another detector of the kind from an ONNX file.

    rapidocr's own defaults are another model's: they enlarge small pictures (14 times the CPU) and
    let precision fall. These are the values that the weights were published with.
    """

    def __init__(self, config: DetectConfig) -> None:
        check_opencv()
        model = model_path(config)
        with contextlib.suppress(ImportError):  # a missing package is named by the next import
            import cv2

            cv2.setNumThreads(1)
        from rapidocr import RapidOCR

        # The public call crops every box and hands scores over in another order than boxes. The
        # method is private, so pyproject holds rapidocr at 3.10.*.
        try:
            engine: Any = RapidOCR(params=_parameters(config, model))
            detector = engine._load_det_model()
            seen = detector.session(np.zeros((1, 3, 32, 64), np.float32)).shape
        except Exception as error:  # rapidocr's and the runtime's kinds have nothing in common
            raise InputError(
                f"text detection: model {model} cannot be used: {one_line(error):.200}"
            ) from None
        if seen != (1, 1, 32, 64):
            raise InputError(f"text detection: model {model} gives no map of text; is it a reader?")
        self._session, self._boxes = detector.session, detector.postprocess_op
        self._table = _normalizing_table()

    def regions(self, pictures: Sequence[Pixels]) -> list[list[Region]]:
        """See `boxes.Backend`."""
        batch = np.stack([self._normalized(picture) for picture in pictures])
        maps = self._session(batch)
        height, width = batch.shape[2:]
        found = []
        for number in range(len(pictures)):
            size = (height * _FINE, width * _FINE)
            polygons, scores = self._boxes(maps[number : number + 1], size)
            corners = np.asarray(polygons, np.float32).reshape(-1, 4, 2) / _FINE
            found.append([Region(*pair) for pair in zip(corners, map(float, scores), strict=True)])
        return found

    def _normalized(self, picture: Pixels) -> npt.NDArray[np.float32]:
        """``float32[3, height, width]``: the numbers that rapidocr makes, from a table."""
        result = np.empty((3, *picture.shape[:2]), np.float32)
        for channel in range(3):
            np.take(self._table[channel], picture[:, :, channel], out=result[channel])
        return result


def model_path(config: DetectConfig) -> Path:
    """The file with the detector's weights.

    Raises:
        InputError: It is not there, or rapidocr is not.
    """
    if not config.model:
        return in_wheel(MODEL)
    path = Path(config.model)
    if not path.is_file():
        raise InputError(f"text detection: model {path} is no file; rapidocr takes an ONNX file")
    return path


def in_wheel(name: str) -> Path:
    """A model file of rapidocr's wheel.

    Raises:
        InputError: There is no rapidocr, or not this file in it.
    """
    found = importlib.util.find_spec("rapidocr")
    if found is None or found.origin is None:
        raise InputError("text detection needs rapidocr; install openmofi with the extra 'curate'")
    path = Path(found.origin).parent / "models" / name
    if not path.is_file():
        raise InputError(f"rapidocr holds no {name}; install rapidocr 3.10")
    return path


def _normalizing_table() -> npt.NDArray[np.float32]:
    values = np.arange(256, dtype=np.float32)[None] * (1 / 255.0)
    scaled: npt.NDArray[np.float32] = (
        (values - np.array(MEAN)[:, None]) / np.array(STD)[:, None]
    ).astype(np.float32)
    return scaled


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
        "Det.mean": list(MEAN),
        "Det.std": list(STD),
        "Det.thresh": config.pixel_threshold,
        "Det.box_thresh": config.min_confidence,
        "Det.unclip_ratio": config.unclip_ratio,
        "Det.use_dilation": False,
        "Det.max_candidates": 3000,
        "EngineConfig.onnxruntime.use_cuda": config.device == "cuda",
        # Two threads cost twice the CPU a picture: one thread a process, scale by processes.
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
