"""Files that hold a secret."""

import os
from pathlib import Path

from openmofi.files import replacing


def write_secretly(path: Path, text: str) -> None:
    """Replace a file by one that nobody else may read, at no moment.

    Raises:
        InputError: It cannot be written.
    """
    with replacing(path) as new:
        new.unlink(missing_ok=True)  # what a killed one has left may be open to others
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
