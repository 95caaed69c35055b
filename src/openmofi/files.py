"""Files that users name: they appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from openmofi.errors import InputError


@contextlib.contextmanager
def moved_into_place(temporary: Path, target: Path) -> Iterator[None]:
    """Make ``target``'s folder, and move ``temporary`` to it if all goes well; else remove it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):  # there is none when its folder cannot be made
            temporary.unlink()


@contextlib.contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A place to write, beside ``out``, which becomes ``out`` if all goes well.

    Raises:
        InputError: It cannot be written. What was there before stays.
    """
    temporary = out.with_name(f".writing-{out.name}")
    try:
        with moved_into_place(temporary, out):
            yield temporary
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error


def write_text(text: str, out: Path) -> None:
    """Write a text file.

    Raises:
        InputError: It cannot be written.
    """
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
