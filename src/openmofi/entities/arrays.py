"""Arrays of a knowledge base, mapped from their files."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError


def map_array(path: Path) -> npt.NDArray[Any]:
    """The array in a ``.npy`` file; pages are read when needed and shared between processes.

    Raises:
        InputError: The file is missing, cut short, or no array.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is missing or cut short ({reason}); build it again") from None
    # As a plain array: np.memmap is slow to index, and the pages stay mapped all the same.
    return np.asarray(mapped)
