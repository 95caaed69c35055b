"""A paddleocr that only notes what it is asked for, and a cache of its own."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.paddleocr_models import PADDLE, STAND_IN


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where paddlex would keep models."""
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that is imported from before all others, and forgotten afterwards."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if is_paddle(name)}
    yield folder
    for name in filter(is_paddle, list(sys.modules)):
        del sys.modules[name]
    sys.modules |= before


def is_paddle(module: str) -> bool:
    return module.split(".")[0] in {"paddle", "paddleocr", "paddlex"}


@pytest.fixture
def library(modules: Path) -> Any:
    """A paddleocr that notes what it is asked for, and a paddle without a GPU."""
    (modules / "paddleocr.py").write_text(STAND_IN)
    (modules / "paddle.py").write_text(PADDLE)
    return importlib.import_module("paddleocr")
