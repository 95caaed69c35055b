from pathlib import Path

import pytest

from openmofi.storage import Store, open_store


@pytest.fixture
def store(root: str) -> Store:
    return open_store(root)


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "root"))


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    (tmp_path / "diary").mkdir()
    return tmp_path / "diary"
