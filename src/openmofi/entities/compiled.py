"""Compilation of the loops over characters: numba, without the GIL, kept on disk."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """Compile a function at its first call, for the types it is called with.

    Machine code is kept in ``NUMBA_CACHE_DIR``, else beside the source. Where neither can be
    written, each process compiles for itself, which takes some seconds.
    """
    settings: Any = numba.config
    given, settings.CACHE_DIR = settings.CACHE_DIR, _CACHE
    try:
        return cast(FunctionT, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder can be written
        return cast(FunctionT, numba.njit(nogil=True)(function))
    finally:
        settings.CACHE_DIR = given


def inlined(function: FunctionT) -> FunctionT:
    """For small functions of the innermost loops: put into their callers, whatever their size."""
    return cast(FunctionT, numba.njit(nogil=True, forceinline=True)(function))


def _cache_folder() -> str:
    """Named by the sources: numba itself would miss a change in a function that is called."""
    here = Path(__file__).parent
    sources = sorted([*here.glob("kernels_*.py"), here / "unicode_tables.py"])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    base = os.environ.get("NUMBA_CACHE_DIR") or str(here / "__pycache__")
    return os.path.join(base, f"openmofi-{digest}")


_CACHE = _cache_folder()
