"""Scope: upload_dump.py and fetch_dump.py in k8s/: which dumps stay, and which one comes back."""

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from openmofi.errors import InputError, StorageError
from openmofi.storage import FolderStore, open_store
from support.manifests import K8S

START = datetime(2026, 1, 30, 2, 17, tzinfo=UTC)


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, K8S / path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UPLOAD, FETCH = script("base/upload_dump.py"), script("restore/fetch_dump.py")


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.dump"
    path.write_bytes(b"a dump")
    return path


def test_the_newest_fortnight_stays_and_what_else_lies_there_too(
    tmp_path: Path, dump: Path
) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put("notes.txt", b"mine")
    for day in range(16):
        dump.write_bytes(b"%d" % day)
        UPLOAD.upload(dump, str(tmp_path / "store"), START + timedelta(days=day))
    kept = [one.key for one in store.list()]
    assert len(kept) == 15
    assert kept[0] == "mlflow-20260201T021700Z.dump"
    assert kept[-2:] == ["mlflow-20260214T021700Z.dump", "notes.txt"]
    target = tmp_path / "back"
    assert FETCH.fetch(store.uri, "newest", target) == "mlflow-20260214T021700Z.dump"
    assert target.read_bytes() == b"15"
    assert FETCH.fetch(store.uri, kept[0], target) == kept[0]
    assert target.read_bytes() == b"2"


def test_a_dump_that_arrives_cut_short_drops_no_older_one(
    tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path / "store")
    for day in range(14):
        UPLOAD.upload(dump, root, START + timedelta(days=day))
    before = [one.key for one in open_store(root).list()]
    monkeypatch.setattr(
        FolderStore, "put_file", lambda self, key, path: self.put(key, path.read_bytes()[:-1])
    )
    with pytest.raises(StorageError, match="did not arrive whole"):
        UPLOAD.upload(dump, root, START + timedelta(days=14))
    assert [one.key for one in open_store(root).list()][:14] == before


@pytest.mark.parametrize(("there", "said"), [(True, "the newest is mlflow-2"), (False, "none at")])
def test_a_dump_that_is_not_there_is_refused_by_name(
    tmp_path: Path, dump: Path, there: bool, said: str
) -> None:
    root = str(tmp_path / "store")
    if there:
        UPLOAD.upload(dump, root, START)
    wanted = "mlflow-1.dump" if there else "newest"
    with pytest.raises(InputError, match=f"no dump '{wanted}' under .*{said}"):
        FETCH.fetch(root, wanted, tmp_path / "back")
    assert not (tmp_path / "back").exists()
