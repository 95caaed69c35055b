"""Lines of a foreign text file, in bounded memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from openmofi.errors import InputError

_LONGEST = 16 << 20  # characters


def bounded_lines(file: TextIO, path: Path, longest: int = _LONGEST) -> Iterator[str]:
    """Lines with their ends; one that is too long is an error before it fills the memory."""
    number = 0
    while line := file.readline(longest):
        number += 1
        if len(line) == longest:
            raise InputError(
                f"{path}, line {number} is longer than {longest} characters: is it the right file?"
            )
        yield line
