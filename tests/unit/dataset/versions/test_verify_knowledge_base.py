"""`dataset verify`: the knowledge base behind a version, wherever the root lies."""

from pathlib import Path

from openmofi.dataset.versions.verify import verify
from support.versions import Built


def test_a_root_below_a_folder_called_manifests_is_a_root_like_any(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    built = Built.of(folder, "a")
    assert verify(built.uris[0], deep=True).problems == ()


def test_a_knowledge_base_whose_manifest_is_damaged_is_named(tmp_path: Path) -> None:
    built = Built.of(tmp_path, "a")
    key = f"manifests/knowledge_base/{Path(built.knowledge_base).name}"
    (built.root / key).write_bytes(b"{")
    (found,) = verify(built.uris[0]).problems
    assert found.key == key
    assert "is damaged: it is not JSON" in found.what
