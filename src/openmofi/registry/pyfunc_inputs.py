"""What a served model is given: images in any of five forms, or texts.

No file or address is opened because a text names it: who may ask a model must not be able to read
its server's disk or network. A `pathlib.Path`, which no request can hold, is read.
"""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from openmofi.errors import InputError
from openmofi.images import ImageProblemError, decode_image

Input = Image.Image | str

_KINDS = ("auto", "image", "text")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
_ADDRESSES = ("http://", "https://", "file://", "s3://")
_LEAST_BASE64 = 64  # characters; no smaller image is worth looking for, and no word is longer
_SHOWN = 60
_MOST_PIXELS = 1_000_000_000  # of a request: 3 GB of RGB


def read_inputs(model_input: Any, kind: str) -> list[Input]:
    """Each input as an RGB image or a text, in order.

    Args:
        model_input: What MLflow hands over: a DataFrame, whose first column counts, or a list.
        kind: ``auto``, ``image`` or ``text``: what a string is. A column named ``image`` or
            ``text`` says so, too.

    Raises:
        InputError: The number of the first input that is not usable, and why.
    """
    if kind not in _KINDS:
        raise InputError(f"params 'kind' must be auto, image or text, got {kind!r}")
    given, kind = _flatten(model_input, kind)
    if not given:
        raise InputError("there is no input; give at least one image or text")
    found: list[Input] = []
    pixels = 0
    for number, value in enumerate(given):
        try:
            found.append(_interpret(value, kind))
        except InputError as error:
            raise InputError(f"input {number}: {error}") from None
        pixels += _pixels(found[-1])
        if pixels > _MOST_PIXELS:
            raise InputError(f"more than {_MOST_PIXELS:,} pixels in all; give fewer images at once")
    return found


def _flatten(model_input: Any, kind: str) -> tuple[list[Any], str]:
    """All values of whatever MLflow handed over, and the kind that its column's name tells."""
    if isinstance(model_input, pd.DataFrame):
        name = str(model_input.columns[0]) if len(model_input.columns) else ""
        values = model_input.iloc[:, 0].tolist() if len(model_input.columns) else []
        if kind == "auto" and name in _KINDS:
            kind = name
    else:
        one = isinstance(model_input, str | bytes | Path | Image.Image)
        values = [model_input] if one else list(model_input)
    flat: list[Any] = []
    for value in values:  # {"text": ["a", "b"]} arrives as one row that holds a list
        flat.extend(value if isinstance(value, list | tuple | np.ndarray) else [value])
    return flat, kind


def _interpret(value: Any, kind: str) -> Input:
    if isinstance(value, Image.Image):
        return value.convert("RGB")
    if isinstance(value, Path):
        return _decode(_read(value), str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return _decode(bytes(value), f"{len(value)} bytes")
    if not isinstance(value, str):
        raise InputError(
            f"it must be a text, bytes, a PIL image or a Path, not {type(value).__name__}"
        )
    if not value.strip():
        raise InputError("it is empty")
    return value if kind == "text" else _image_or_text(value, kind)


def _image_or_text(value: str, kind: str) -> Input:
    """A string that may be an image: what looks like one and is none is an error, not a text."""
    data = _from_base64(value)
    if data is not None and (kind == "image" or _announced(value) or len(value) >= _LEAST_BASE64):
        return _decode(data, "from base64; if it is a text, say so by params 'kind'")
    if kind == "image" or _announced(value) or _names_a_file(value):
        raise InputError(
            f"no image: {_short(value)!r} is no base64 of an image. Files and addresses that a "
            "text names are not opened: give bytes, base64, a pathlib.Path (in Python), or params "
            "'kind' = 'text'"
        )
    return value


def _announced(value: str) -> bool:
    return value.startswith("data:image/") or (value.startswith("data:") and ";base64," in value)


def _names_a_file(value: str) -> bool:
    lower = value.lower()
    return " " not in value and (lower.endswith(_SUFFIXES) or lower.startswith(_ADDRESSES))


def _from_base64(value: str) -> bytes | None:
    """The bytes behind base64 or a data URI; None if it is neither."""
    text = value.partition(",")[2] if _announced(value) else value
    try:
        # The tool of the same name breaks lines.
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return None


def _decode(data: bytes, name: str) -> Image.Image:
    try:
        return decode_image(data)
    except ImageProblemError as error:
        raise InputError(f"the image does not open ({name}): {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _pixels(value: Input) -> int:
    return 0 if isinstance(value, str) else value.width * value.height


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"


def counts(params: dict[str, Any], names: Sequence[str]) -> list[int]:
    """Params that are numbers of answers.

    Raises:
        InputError: One is negative.
    """
    found = [int(params[name]) for name in names]
    for name, value in zip(names, found, strict=True):
        if value < 0:
            raise InputError(f"params '{name}' must be 0 or more, got {value}")
    return found
