"""Lines of a foreign text file, in bounded memory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

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


def json_objects(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a JSONL file with the numbers of their lines; empty lines are passed over.

    Raises:
        InputError: A line is no JSON object.
        UnicodeDecodeError: The file is not UTF-8.
    """
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(bounded_lines(file, path), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number} is not a JSON object")
            yield number, row
