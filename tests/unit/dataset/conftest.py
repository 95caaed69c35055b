from pathlib import Path

import pytest

from openmofi.entities.build import build_knowledge_base

ENTITIES = ("lagos", "georgia_us", "georgia_country", "norway", "peru", "chad")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def knowledge_base(root: Path, tmp_path: Path) -> str:
    """A knowledge base of `ENTITIES`, in the store of the test."""
    source = tmp_path / "kb.csv"
    lines = [f"{one},{one.title()},,a place & more" for one in ENTITIES]
    source.write_text("entity_id,name,aliases,description\n" + "\n".join(lines) + "\n")
    return build_knowledge_base(str(root), csv=str(source))
