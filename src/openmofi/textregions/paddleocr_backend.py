"""PP-OCR through paddleocr: a detection model by its official name, or from a folder."""

import ast
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from openmofi.config import read_yaml
from openmofi.errors import InputError
from openmofi.keys import hash_file, hash_json
from openmofi.textregions.boxes import Pixels, Region
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.paddleocr_library import (
    check_gpu,
    import_paddleocr,
    official_folder,
    one_line,
)

_SETTINGS = "inference.yml"
_STEPS = ("DecodeImage", "DetResizeForTest", "NormalizeImage", "ToCHWImage")
_OFFICIAL = re.compile(r"[A-Za-z0-9._-]+_det")
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.UAdd, ast.USub)


class PaddleOcrBackend:
    """One model of paddleocr on one thread, or on the first GPU.

    A folder with ``inference.onnx`` runs in onnxruntime, one of Paddle's own format in Paddle.
    Load only folders that you trust: both formats are programs to their runtimes.
    """

    def __init__(self, config: DetectConfig) -> None:
        """Load the model that ``config`` names.

        Raises:
            InputError: The model is not there or lacks a file, a package is missing, the settings
                beside the weights are not those of a detector, or the device is not there.
        """
        model = _find_model(config.model)
        self._limit = config.input_limit
        self._detector = _load(model, config)

    def regions(self, pictures: Sequence[Pixels]) -> list[list[Region]]:
        """Regions of each of some pictures of one size, in one pass; see `boxes.Backend`."""
        if not pictures:
            return []
        for picture in pictures:  # floats would be taken for 0 to 255, and give nonsense
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"not uint8[height, width, 3]: {picture.dtype}{picture.shape}")
        # Anything but a list counts as one picture. Without the last value paddlex would shrink to
        # 4000 pixels what the configured limit allows.
        results = self._detector.predict(
            list(pictures), batch_size=len(pictures), max_side_limit=self._limit
        )
        if len(results) != len(pictures):  # it leaves out what it cannot read
            raise RuntimeError(f"paddleocr gave {len(results)} results for {len(pictures)}")
        return [_regions_of(result) for result in results]


def paddleocr_digest(config: DetectConfig) -> str:
    """Digest of the files that `PaddleOcrBackend` would load, without loading them.

    A model that is named and not yet there is downloaded: what has no bytes has no digest.
    """
    files = _find_model(config.model).files
    return hash_json([[path.name, hash_file(path)] for path in files])


class _Model(NamedTuple):
    name: str  # as in its settings; paddleocr wants it said twice
    files: tuple[Path, ...]  # that change boxes: weights, then settings

    @property
    def folder(self) -> Path:
        return self.files[0].parent

    @property
    def form(self) -> str:
        """``.onnx``, or Paddle's ``.json`` or ``.pdmodel``."""
        return self.files[0].suffix


def _find_model(model: str) -> _Model:
    if not model:
        raise InputError(
            "text detection: backend 'paddleocr' needs a 'model': a folder, or an official name "
            "such as PP-OCRv6_small_det"
        )
    folder = Path(model)
    if not folder.is_dir():
        if not _OFFICIAL.fullmatch(model):
            raise InputError(f"model folder not found: {model}")
        folder = official_folder(model)
    weights = _weights(folder)
    settings = folder / _SETTINGS
    if not settings.is_file():
        raise InputError(f"model folder {folder} lacks {_SETTINGS}")
    return _Model(_checked_name(settings), (*weights, settings))


def _weights(folder: Path) -> tuple[Path, ...]:
    """The files of weights that will be loaded, in paddlex's own order of preference."""
    if (onnx := folder / "inference.onnx").is_file():
        return (onnx,)
    parameters = folder / "inference.pdiparams"
    for graph in (folder / "inference.json", folder / "inference.pdmodel"):
        if graph.is_file():
            if not parameters.is_file():
                raise InputError(f"model folder {folder} lacks {parameters.name}")
            return graph, parameters
    if parameters.is_file():
        raise InputError(f"model folder {folder} lacks inference.json or inference.pdmodel")
    raise InputError(f"model folder {folder} lacks inference.onnx, or Paddle's inference.* files")


def _checked_name(path: Path) -> str:
    """The model's name by its settings, once they are seen to be those of a box detector."""
    settings = read_yaml(path)
    try:
        name = settings["Global"]["model_name"]
        listed = settings["PreProcess"]["transform_ops"]
        steps = {key: value or {} for step in listed for key, value in step.items()}
        after = settings["PostProcess"]
        scales = [
            value["scale"] for step in listed for value in step.values() if "scale" in (value or {})
        ]
        fixed_size = "image_shape" in steps.get("DetResizeForTest", {})
        boxes = after["name"] == "DBPostProcess" and after.get("box_type", "quad") == "quad"
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not that of a text detector: {error}") from None
    missing = [step for step in _STEPS if step not in steps]
    if missing:  # without DecodeImage, for one, paddlex swaps red and blue in silence
        raise InputError(f"{path}: PreProcess.transform_ops lacks {', '.join(missing)}")
    if not all(_is_plain_number(str(scale)) for scale in scales):  # paddlex calls eval with it
        raise InputError(f"{path}: NormalizeImage.scale must be a number such as 1./255.")
    if fixed_size:
        raise InputError(f"{path}: DetResizeForTest.image_shape would distort pictures; remove it")
    if not boxes:
        raise InputError(f"{path}: PostProcess must be DBPostProcess with box_type quad")
    return str(name)


def _is_plain_number(text: str) -> bool:
    """Whether numbers and the four signs of arithmetic are all there is."""
    try:
        parsed = ast.walk(ast.parse(text.strip(), mode="eval"))
    except (SyntaxError, ValueError):
        return False
    return all(
        isinstance(node, (ast.Expression, ast.BinOp, ast.UnaryOp, *_ARITHMETIC))
        or (isinstance(node, ast.Constant) and type(node.value) in (int, float))
        for node in parsed
    )


def _load(model: _Model, config: DetectConfig) -> Any:
    engine = "onnxruntime" if model.form == ".onnx" else "paddle"
    library = import_paddleocr("paddleocr", engine)
    if config.device == "cuda":
        check_gpu(engine)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # paddle misses ccache, which nobody needs here
            return library.TextDetection(**_arguments(model, config))
    except Exception as error:
        raise InputError(f"paddleocr cannot load {model.folder}: {one_line(error)}") from error


def _arguments(model: _Model, config: DetectConfig) -> dict[str, Any]:
    cuda = config.device == "cuda"
    options: dict[str, Any]
    if model.form == ".onnx":
        engine, options = "onnxruntime", {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    elif cuda:
        engine, options = "paddle_static", {"run_mode": "paddle"}
    else:
        # oneDNN is three times faster, and fails on the first picture where Paddle's new graphs
        # run: a .pdmodel can do without those, a .json cannot (PaddlePaddle/Paddle#77340, of 3.3).
        plain = {"run_mode": "paddle", "cpu_threads": 1}
        old = {"run_mode": "mkldnn", "cpu_threads": 1, "enable_new_ir": False}
        engine, options = "paddle_static", old if model.form == ".pdmodel" else plain
    return {
        "model_name": model.name,
        "model_dir": str(model.folder),
        "device": "gpu:0" if cuda else "cpu",
        "engine": engine,
        "engine_config": options,
        "limit_type": "max",  # shrinks and never enlarges
        "limit_side_len": config.input_limit,
        "thresh": config.pixel_threshold,
        "box_thresh": config.min_confidence,
        "unclip_ratio": config.unclip_ratio,
    }


def _regions_of(result: Any) -> list[Region]:
    corners = np.asarray(result["dt_polys"], dtype=np.float32).reshape(-1, 4, 2)
    return [
        Region(corner, float(score))
        for corner, score in zip(corners, result["dt_scores"], strict=True)
    ]
