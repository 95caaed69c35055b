"""Where machine code is kept, and that nothing depends on it being kept."""

import os
from pathlib import Path

import numpy as np
import pytest

from openmofi.entities import compiled


def test_the_given_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = Path(compiled._cache_folder())
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0


def test_one_that_cannot_be_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert Path(compiled._cache_folder()).parent == Path(compiled.__file__).parent / "__pycache__"


def test_a_folder_of_another_user_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert not compiled._is_writable(str(tmp_path))
    monkeypatch.undo()
    assert compiled._is_writable(str(tmp_path))


def test_without_any_folder_functions_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "_is_writable", lambda folder: False)
    monkeypatch.setattr(compiled, "_CACHE", compiled._cache_folder())
    assert compiled._CACHE == ""

    @compiled.compiled
    def total(numbers):  # type: ignore[no-untyped-def]
        count = 0
        for number in numbers:
            count += number
        return count

    assert total(np.arange(5)) == 10
    assert total.signatures  # type: ignore[attr-defined]
