"""Scope: what libraries open by path may lie on S3; a real S3 server (Swift) has it here."""

import os
from pathlib import Path

import pytest

from openmofi.entities.build import build_knowledge_base
from openmofi.errors import InputError
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.inputs import check_input, fetched
from openmofi.storage import open_store, put_folder
from openmofi.versions import read_manifest
from pipelines.preflight import check_inputs
from support.evaluation import write_image_set

pytestmark = pytest.mark.s3


def test_a_file_and_a_folder_are_as_they_are_there(s3_root: str) -> None:
    store = open_store(s3_root)
    store.put("in/a.csv", b"one")
    store.put("in/deep/b.txt", b"two")
    store.put("in/a.csv.old", b"a neighbour whose name begins alike")
    assert fetched(f"{s3_root}/in/a.csv").read_bytes() == b"one"
    assert [p.name for p in fetched(f"{s3_root}/in/a.csv").parent.iterdir()] == ["a.csv"]
    folder = fetched(f"{s3_root}/in/")
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {
        "a.csv", "deep/b.txt", "a.csv.old",
    }  # fmt: skip


def test_it_is_fetched_once_and_again_when_it_is_another(s3_root: str) -> None:
    store = open_store(s3_root)
    store.put("a.csv", b"one")
    first = fetched(f"{s3_root}/a.csv")
    seen = os.stat(first).st_mtime_ns
    assert fetched(f"{s3_root}/a.csv") == first
    assert os.stat(first).st_mtime_ns == seen
    store.put("a.csv", b"two")
    assert fetched(f"{s3_root}/a.csv").read_bytes() == b"two"
    assert first.read_bytes() == b"one"  # whoever reads it goes on reading


@pytest.mark.parametrize("below", ["", "/nothing", "/a.cs"])
def test_what_is_not_there_is_named_and_leaves_nothing(
    s3_root: str, below: str, tmp_path: Path
) -> None:
    if below:
        open_store(s3_root).put("a.csv", b"one")
    given = f"{s3_root}{below}" if below else f"s3://{s3_root.split('/')[2]}"
    for ask in (fetched, check_input):
        with pytest.raises(InputError, match="whole bucket" if not below else "is not there"):
            ask(given)
    assert not list(tmp_path.rglob("inputs"))


def test_a_fetch_that_breaks_leaves_no_half_folder(
    s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3_root)
    store.put("in/a", b"one")
    store.put("in/b", b"two")
    found = type(store).local_file

    def broken(self: object, key: str) -> object:
        if key.endswith("b"):
            raise OSError("cut off")
        return found(self, key)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store), "local_file", broken)
    with pytest.raises(InputError, match="cut off"):
        fetched(f"{s3_root}/in")
    assert not [p for p in tmp_path.rglob("*") if p.name in ("a", "b")]


def test_a_knowledge_base_is_the_same_from_s3(s3_root: str, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("entity_id,name,aliases,description\nQ1,red fox,fox,an animal\n")
    open_store(s3_root).put_file("mine.csv", table)
    here = build_knowledge_base((tmp_path / "root").as_uri(), csv=str(table))
    there = build_knowledge_base(s3_root, csv=f"{s3_root}/mine.csv")
    one, other = (read_manifest(uri, "knowledge_base") for uri in (here, there))
    assert one.content["content_digest"] == other.content["content_digest"]


def test_an_evaluation_set_is_the_same_from_s3(s3_root: str, tmp_path: Path) -> None:
    local = write_image_set(tmp_path / "set")
    put_folder(open_store(s3_root), "set", local)
    here = read_evaluation_data(local)
    there = read_evaluation_data(f"{s3_root}/set")
    assert here.images.digest == there.images.digest
    assert here.keys == there.keys


def test_what_is_missing_on_s3_is_told_before_anything_runs(s3_root: str) -> None:
    with pytest.raises(InputError, match=r"'wordnet': s3://.*/no-such is not there"):
        check_inputs({"root": s3_root, "wordnet": f"{s3_root}/no-such"})
