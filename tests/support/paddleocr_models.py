"""Model folders as paddleocr has them, and the config that names one."""

from pathlib import Path
from typing import Any

import yaml

from openmofi.textregions.config import DetectConfig

PD = ("inference.pdmodel", "inference.pdiparams")
JSON = ("inference.json", "inference.pdiparams")
ONNX = ("inference.onnx",)


def settings() -> dict[str, Any]:
    """An inference.yml as the models have it."""
    return {
        "Global": {"model_name": "PP-OCRv6_small_det"},
        "PreProcess": {
            "transform_ops": [
                {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                {"DetLabelEncode": None},
                {"DetResizeForTest": None},
                {
                    "NormalizeImage": {
                        "mean": [0.485, 0.456, 0.406],
                        "std": [0.229, 0.224, 0.225],
                        "scale": "1./255.",
                        "order": "hwc",
                    }
                },
                {"ToCHWImage": None},
                {"KeepKeys": {"keep_keys": ["image", "shape", "polys", "ignore_tags"]}},
            ]
        },
        "PostProcess": {
            "name": "DBPostProcess",
            "thresh": 0.2,
            "box_thresh": 0.45,
            "max_candidates": 3000,
            "unclip_ratio": 1.4,
        },
    }


def write_model(folder: Path, files: tuple[str, ...] = ONNX, **changed: Any) -> Path:
    """A folder with settings and files that only look like weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_bytes(name.encode())
    (folder / "inference.yml").write_text(yaml.safe_dump(settings() | changed))
    return folder


def config(model: Path | str, **values: Any) -> DetectConfig:
    return DetectConfig(backend="paddleocr", model=str(model), **values)


STAND_IN = """
import numpy as np
made, asked = [], []
results = [{"dt_polys": np.array([], np.int16), "dt_scores": []}]
class TextDetection:
    def __init__(self, **arguments):
        if isinstance(results, Exception):
            raise results
        made.append(arguments)
    def predict(self, pictures, **arguments):
        asked.append((pictures, arguments))
        return results
"""
PADDLE = """
class device:
    gpus = 0
    is_compiled_with_cuda = staticmethod(lambda: True)
    class cuda:
        device_count = staticmethod(lambda: device.gpus)
"""
