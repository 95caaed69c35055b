"""Tests over a root that is built once for a module, by the fixture ``built`` of each."""

from pathlib import Path

import pytest

from openmofi.versions import Manifest
from support.versions import Built


@pytest.fixture
def root(built: Built) -> Path:
    return built.root


@pytest.fixture
def knowledge_base(built: Built) -> str:
    return built.knowledge_base


@pytest.fixture
def versions(built: Built) -> list[Manifest]:
    """All of them, in a root that is as it was built."""
    return built.restored()


@pytest.fixture
def version(versions: list[Manifest]) -> Manifest:
    return versions[0]
