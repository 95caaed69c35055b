import pytest


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "root")
