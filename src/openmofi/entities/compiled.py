"""Compilation of the loops over characters: numba, without the GIL, kept on disk."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """Compile a function at its first call, for the types it is called with.

    Machine code is kept in ``NUMBA_CACHE_DIR``, beside the source, or in the user's or the
    temporary folder: the first that can be written. Without it each process compiles for itself,
    which takes some ten seconds.
    """
    if not _CACHE:
        return cast(FunctionT, numba.njit(nogil=True)(function))
    settings: Any = numba.config
    given, settings.CACHE_DIR = settings.CACHE_DIR, _CACHE
    try:
        return cast(FunctionT, numba.njit(nogil=True, cache=True)(function))
    finally:
        settings.CACHE_DIR = given


def inlined(function: FunctionT) -> FunctionT:
    """For small functions of the innermost loops: put into their callers, whatever their size."""
    return cast(FunctionT, numba.njit(nogil=True, forceinline=True)(function))


def _cache_folder() -> str:
    """Named by the sources: numba itself would miss a change in a function that is called.

    Writable, since numba fails where it has code for another processor and cannot add this one's.
    """
    here = Path(__file__).parent
    sources = sorted([*here.glob("kernels_*.py"), here / "unicode_tables.py"])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    given = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "openmofi")
    for base in (given, here / "__pycache__", home, tempfile.gettempdir()):
        if base:
            folder = os.path.join(base, f"numba-{digest}")
            if _is_writable(folder):
                return folder
    return ""


def _is_writable(folder: str) -> bool:
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if os.stat(folder).st_uid != os.getuid():  # what lies there is run
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


_CACHE = _cache_folder()
