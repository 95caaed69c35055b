"""A model's logit scale: how it turns cosines into log-odds. Read without loading the model."""

import json
import math
from typing import Any

import numpy as np

from openmofi.errors import InputError
from openmofi.models.folder import WEIGHTS_FILE
from openmofi.models.transformers_files import WEIGHTS
from openmofi.models.transformers_folder import TRANSFORMERS
from openmofi.storage import Store
from openmofi.versions import read_manifest

_TENSOR = "logit_scale"  # its logarithm, in open_clip's models and in transformers'
_LENGTH_BYTES = 8  # before a safetensors header: how long it is, little endian
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def read_logit_scale(model: str) -> float:
    """What a ``model`` manifest's dual encoder multiplies cosines by: CLIP's 100, for example.

    Three ranged reads of its weights (https://github.com/huggingface/safetensors#format). A
    SigLIP's bias is left out: added to the log-odds of every text alike, it cancels between them.

    Raises:
        InputError: The URI is not a model's, or its weights hold no logit scale.
    """
    manifest = read_manifest(model, "model")
    in_transformers = manifest.content.get("layout") == TRANSFORMERS
    name = WEIGHTS[0] if in_transformers else WEIGHTS_FILE
    key = f"{manifest.content['prefix']}/{name}"
    size = int.from_bytes(manifest.store.get_range(key, 0, _LENGTH_BYTES), "little")
    header = json.loads(manifest.store.get_range(key, _LENGTH_BYTES, size))
    entry = header.get(_TENSOR)
    value = _value(manifest.store, key, entry, _LENGTH_BYTES + size) if entry else math.nan
    if not math.isfinite(value):
        raise InputError(
            f"model {model} has no readable {_TENSOR} in {name}; set label.image_weight"
        )
    return math.exp(value)


def _value(store: Store, key: str, entry: dict[str, Any], start: int) -> float:
    begin, end = entry["data_offsets"]
    if entry["dtype"] not in _TYPES:
        return math.nan
    values = np.frombuffer(store.get_range(key, start + begin, end - begin), _TYPES[entry["dtype"]])
    return float(values[0]) if len(values) == 1 else math.nan
