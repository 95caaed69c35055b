"""What ``mlflow.pyfunc.load_model`` answers with: embeddings and entity names of images or texts.

MLflow runs this file ("models from code"); the weights are the artifact ``model``, a model
folder. Each input is

* an image: bytes, a path, base64 text or a ``data:`` URI; or
* a text: any other string.

``params={"kind": "image"}`` or ``"text"`` settles what a string is; so does a DataFrame column
named ``image`` or ``text``. The answer has one row an input: ``kind``, ``embedding`` (unit
length) and ``entities`` (best first: ``entity_id``, ``name``, ``score`` = cosine with the class
row; empty for a model without classes).
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.pyfunc.model import PythonModel
from PIL import Image

from openmofi.errors import InputError
from openmofi.images import ImageProblemError, decode_image
from openmofi.models.encoder import ClipEncoder, load_encoder_folder

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
_BATCH = 64


class ImageTextModel(PythonModel):
    """A model folder behind MLflow's ``predict``."""

    def load_context(self, context: Any) -> None:
        """Load weights, class rows and vocabulary from the artifact ``model``."""
        folder = Path(context.artifacts["model"])
        self._encoder = load_encoder_folder(folder, device="auto")
        self._classes = _Classes(folder)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row an input, in order.

        Args:
            context: MLflow's; not used.
            model_input: What MLflow makes of a list, one column.
            params: ``kind`` and ``top_k``, see the module.

        Raises:
            InputError: An image does not open, or a path is not there.
        """
        options = dict(params or {})
        given, kind = _flatten(model_input, str(options.get("kind", "auto")))
        inputs = [_interpret(value, kind) for value in given]
        vectors = _embed(self._encoder, inputs)
        return pd.DataFrame(
            {
                "kind": ["text" if isinstance(value, str) else "image" for value in inputs],
                "embedding": [vector.tolist() for vector in vectors],
                "entities": self._classes.best(vectors, int(options.get("top_k", 5))),
            }
        )


class _Classes:
    """Class rows and the entities that they stand for."""

    def __init__(self, folder: Path) -> None:
        self._rows: npt.NDArray[np.float32] | None = None
        rows, vocabulary = folder / "class_rows.safetensors", folder / "vocabulary.parquet"
        if rows.is_file() and vocabulary.is_file():
            import pyarrow.parquet as pq
            from safetensors.numpy import load_file

            table = pq.read_table(vocabulary)
            self._ids = table.column("entity_id").to_pylist()
            self._names = table.column("name").to_pylist()
            loaded = load_file(rows)["rows"]
            self._rows = loaded / np.maximum(np.linalg.norm(loaded, axis=1, keepdims=True), 1e-12)

    def best(self, vectors: npt.NDArray[np.float32], top: int) -> list[list[dict[str, Any]]]:
        """The ``top`` entities of each vector [N, D], best first."""
        if self._rows is None:
            return [[] for _ in vectors]
        answers = []
        for scores in vectors @ self._rows.T:
            order = np.argsort(-scores, kind="stable")[: max(top, 0)]
            answers.append([self._entity(int(i), float(scores[i])) for i in order])
        return answers

    def _entity(self, index: int, score: float) -> dict[str, Any]:
        return {"entity_id": self._ids[index], "name": self._names[index], "score": score}


def _flatten(model_input: Any, kind: str) -> tuple[list[Any], str]:
    """All values of whatever MLflow handed over, and the kind that its column's name tells."""
    if kind not in ("auto", "image", "text"):
        raise InputError(f"params 'kind' must be auto, image or text, got {kind!r}")
    if isinstance(model_input, pd.DataFrame):
        name = str(model_input.columns[0]) if len(model_input.columns) else ""
        values = model_input.iloc[:, 0].tolist() if len(model_input.columns) else []
        if kind == "auto" and name in ("image", "text"):
            kind = name
    else:
        values = [model_input] if isinstance(model_input, str | bytes) else list(model_input)
    flat: list[Any] = []
    for value in values:  # {"text": ["a", "b"]} arrives as one row that holds a list
        flat.extend(value if isinstance(value, list | tuple | np.ndarray) else [value])
    return flat, kind


def _interpret(value: Any, kind: str) -> Image.Image | str:
    if isinstance(value, Image.Image):
        return value.convert("RGB")
    if isinstance(value, bytes | bytearray | memoryview):
        return _decode(bytes(value), f"{len(value)} bytes")
    if not isinstance(value, str):
        raise InputError(f"input must be text, bytes or an image, not {type(value).__name__}")
    if kind == "text":
        return value
    path = value.removeprefix("file://")
    if len(path) < 4096 and "\0" not in path and Path(path).is_file():
        return _decode(Path(path).read_bytes(), path)
    data = _from_base64(value)
    if data is not None:
        return _decode(data, "base64 text")
    if kind == "image" or value.lower().endswith(_SUFFIXES):
        shown = value if len(value) <= 200 else f"{value[:200]}…"
        raise InputError(f"no image: {shown!r} is neither a file nor base64 of an image")
    return value


def _from_base64(value: str) -> bytes | None:
    """The bytes behind base64, if they are an image's."""
    text = value.partition(",")[2] if value.startswith("data:") else value
    if len(text) < 32:
        return None
    try:
        data = base64.b64decode(text, validate=True)
        decode_image(data)
    except (binascii.Error, ValueError, ImageProblemError):
        return None
    return data


def _decode(data: bytes, name: str) -> Image.Image:
    try:
        return decode_image(data)
    except ImageProblemError as error:
        raise InputError(f"image does not open ({name}): {error}") from None


def _embed(encoder: ClipEncoder, inputs: Sequence[Image.Image | str]) -> npt.NDArray[np.float32]:
    vectors = np.zeros((len(inputs), encoder.dim), dtype=np.float32)
    texts = {i: value for i, value in enumerate(inputs) if isinstance(value, str)}
    images = {i: value for i, value in enumerate(inputs) if isinstance(value, Image.Image)}
    if texts:
        vectors[list(texts)] = encoder.encode_texts(list(texts.values()))
    order = list(images)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        vectors[batch] = encoder.encode_images([images[i] for i in batch])
    return vectors


mlflow.models.set_model(ImageTextModel())
