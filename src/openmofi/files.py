"""Files and folders that users name: they appear whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from openmofi.errors import InputError


def cache_folder() -> Path:
    """Where what can be fetched again lies: ``OPENMOFI_CACHE``, else ``~/.cache/openmofi``."""
    return Path(os.environ.get("OPENMOFI_CACHE") or Path.home() / ".cache" / "openmofi")


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


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write, beside ``out``, which becomes ``out`` if all goes well.

    What killed processes have left there is removed; what others write there at the same time is
    not. Who wants to keep a folder that is there, or says so in other words, looks before: an
    empty one is replaced.

    Raises:
        InputError: It cannot be written. Nothing is left, neither parents made for it.
    """
    out = out.absolute()
    made = [parent for parent in out.parents if not parent.exists()]  # the innermost first
    folder = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = _folder_beside(out)
        yield folder
        os.replace(folder, out)
    except BaseException as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise InputError(f"cannot write {out}: {error.strerror or error}") from error
        raise


def _folder_beside(out: Path) -> Path:
    stem = f".{out.name}.writing-"
    for left in out.parent.iterdir():
        process = left.name.removeprefix(stem)
        if left.name.startswith(stem) and not Path("/proc", process).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = out.with_name(f"{stem}{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
