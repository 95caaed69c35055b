"""What ``mlflow.pyfunc.load_model`` answers with: embeddings, entity names and neighbours.

MLflow runs this file ("models from code"); the artifacts are ``model``, a model folder, and
``gallery``, if there is one. Each input is

* an image: bytes, base64 text, a ``data:`` URI, or in Python a ``pathlib.Path`` or a PIL image; or
* a text: any other string. No file is opened because a string names it.

``params={"kind": "image"}`` or ``"text"`` settles what a string is; so does a DataFrame column
named ``image`` or ``text``. The answer has one row an input: ``kind``, ``embedding`` (unit
length), ``entities`` (best first: ``entity_id``, ``name``, ``score`` = cosine with the class row;
empty for a model without classes) and ``neighbours`` (see `gallery_index.Gallery.nearest`; empty
without a gallery). What is wrong with an input is an `MlflowException` that a server answers with
status 400.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel
from PIL import Image

from openmofi.errors import InputError
from openmofi.models.encoder import ClipEncoder, load_encoder_folder
from openmofi.registry.gallery_index import Gallery, best
from openmofi.registry.pyfunc_inputs import Input, counts, read_inputs

_BATCH = 64
_DEFAULTS = {"kind": "auto", "top_k": 5, "neighbours": 5}


class ImageTextModel(PythonModel):
    """A model folder behind MLflow's ``predict``."""

    def load_context(self, context: Any) -> None:
        """Load weights, class rows, vocabulary and gallery from the artifacts."""
        folder, gallery = Path(context.artifacts["model"]), context.artifacts.get("gallery")
        self._encoder = load_encoder_folder(folder, device="auto")
        self._classes = _Classes(folder)
        self._gallery = Gallery(Path(gallery) if gallery else None)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row an input, in order.

        Args:
            context: MLflow's; not used.
            model_input: What MLflow makes of a list, one column.
            params: ``kind``, ``top_k`` entities and ``neighbours``, see the module.

        Raises:
            MlflowException: An input or a param is not usable; then there is no answer at all.
        """
        options = {**_DEFAULTS, **(params or {})}
        try:
            entities, neighbours = counts(options, ("top_k", "neighbours"))
            inputs = read_inputs(model_input, str(options["kind"]))
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        vectors = _embed(self._encoder, inputs)
        return pd.DataFrame(
            {
                "kind": ["text" if isinstance(value, str) else "image" for value in inputs],
                "embedding": [vector.tolist() for vector in vectors],
                "entities": self._classes.best(vectors, entities),
                "neighbours": self._gallery.nearest(vectors, neighbours),
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
            answers.append([self._entity(int(i), float(scores[i])) for i in best(scores, top)])
        return answers

    def _entity(self, index: int, score: float) -> dict[str, Any]:
        return {"entity_id": self._ids[index], "name": self._names[index], "score": score}


def _embed(encoder: ClipEncoder, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
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
