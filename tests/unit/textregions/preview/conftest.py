from pathlib import Path

import pytest

from support.text_pages import page_of


@pytest.fixture
def page(tmp_path: Path) -> str:
    return page_of(tmp_path)
