"""Linear heads as files, made in the test."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file


def write_head(
    path: Path, weight: npt.ArrayLike, *, bias: npt.ArrayLike | None = None, **said: str
) -> Path:
    """A head's file; what is ``said`` are its metadata."""
    tensors = {"weight": np.asarray(weight, np.float32)}
    if bias is not None:
        tensors["bias"] = np.asarray(bias, np.float32)
    save_file(tensors, path, metadata=said or None)
    return path
