from pathlib import Path

import pytest

from openmofi.dataset.takedown.forget import forget
from support.takedowns import TAKEN, Filled, copy_of, filled_store, url


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Where sample `TAKEN` was taken down by its URL, and nothing is compacted yet."""
    filled = filled_store(tmp_path_factory.mktemp("compact"))
    forget(str(filled.root), urls=[url(TAKEN)])
    return filled


@pytest.fixture
def filled(once: Filled, tmp_path: Path) -> Filled:
    return copy_of(once, tmp_path / "root")
