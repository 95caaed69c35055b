"""A dump is parsed into parts: who keeps them, who goes on with them, who removes them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.wikidata_dump import write_dump
from openmofi.entities import wikidata_parts
from openmofi.entities.build import build_knowledge_base, build_knowledge_base_folder
from openmofi.entities.compile import compile_sources
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.wikidata_parts import read_wikidata
from openmofi.errors import InputError, OpenMofiError
from openmofi.keys import hash_folder
from openmofi.workers import run_here
from support.entities import write_dump_of

GRAPH: dict[str, dict[str, Any]] = {
    "Q1": {},
    "Q2": {"P31": ["Q1"]},
    "Q3": {"P279": ["Q1"]},
    "Q73": {"P31": ["Q999"]},
}


def build(out: Path, dump: str, include: list[str]) -> None:
    config = {"wikidata": {"include": include}}
    build_knowledge_base_folder(str(out), wikidata=dump, config=config)


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("dump") / "dump.json.gz"
    write_dump(path, 300, seed=11, bytes_per_item=1000)
    return str(path)


SCRIPT = """
import sys
from pathlib import Path
from openmofi.entities.compile import compile_sources
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.wikidata_parts import read_wikidata

def build(dump, parts, out, workers):
    settings = KnowledgeBaseConfig()
    source = read_wikidata(Path(dump), parts, settings.wikidata, 16, workers, block_bytes=20_000)
    compile_sources([source], settings, "a digest", Path(out))

if __name__ == "__main__":
    build(*sys.argv[1:4], int(sys.argv[4]))
"""


def parts_in(folder: Path) -> dict[str, int]:
    """Parts and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("[0-9]*.parquet")}


def kill_mid_dump(command: list[str], parts: Path) -> None:
    """Start a build; SIGKILL it and its workers once three parts are there."""
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while len(parts_in(parts)) < 3:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_killed_build_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump, parts = tmp_path / "dump.json.gz", tmp_path / "parts"
    write_dump(dump, 1500, seed=4, bytes_per_item=1500)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(dump), str(parts)]
    kill_mid_dump([*command, str(tmp_path / "never"), "2"], parts)
    before = parts_in(parts)
    assert not list(parts.rglob("end.json"))
    assert not (tmp_path / "never" / "kb.json").exists()

    settings = KnowledgeBaseConfig()
    folders = []
    for name in ("parts", "other"):  # the other one starts anew
        where = str(tmp_path / name)
        source = read_wikidata(dump, where, settings.wikidata, 16, 1, block_bytes=20_000)
        folders.append(tmp_path / f"kb-{name}")
        compile_sources([source], settings, "a digest", folders[-1])
        said = capsys.readouterr().err
        going_on = f"{len(before)} parts are there already; going on after them"
        assert (going_on in said) == (name == "parts")
    after = parts_in(parts)
    assert {name: after[name] for name in before} == before
    assert 3 <= len(before) < len(after) == len(parts_in(tmp_path / "other"))
    assert hash_folder(folders[0]) == hash_folder(folders[1])


def test_a_store_keeps_parts_for_other_types(
    tmp_path: Path, dump: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    first = build_knowledge_base(str(root), wikidata=dump)
    kept = parts_in(root / "kb-parts")
    assert kept
    monkeypatch.setattr(wikidata_parts, "read_blocks", None)  # nobody may read the dump again
    config = {"wikidata": {"include": ["Q7239"]}}
    second = build_knowledge_base(str(root), wikidata=dump, config=config)
    assert first != second
    assert parts_in(root / "kb-parts") == kept


def test_a_folder_keeps_none_and_leaves_what_is_not_its_own(tmp_path: Path, dump: str) -> None:
    mine = tmp_path / "kb.parts" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("not a part of a dump")
    build_knowledge_base_folder(str(tmp_path / "kb"), wikidata=dump)
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]
    build_knowledge_base_folder(str(tmp_path / "new"), wikidata=dump)
    assert not (tmp_path / "new.parts").exists()


def test_what_the_next_try_may_mend_leaves_the_parts(
    tmp_path: Path, dump: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(job: Any, items: Any) -> Iterator[tuple[Any, Any]]:
        yield from run_here(job, items)
        yield None, "a worker process was killed (out of memory?)"

    monkeypatch.setattr(wikidata_parts, "run_here", dying)
    with pytest.raises(OpenMofiError, match=r"out of memory\?\); the next try goes on"):
        build_knowledge_base(str(tmp_path / "root"), wikidata=dump)
    assert parts_in(tmp_path / "root")


def test_a_damaged_dump_leaves_no_part_in_a_store(tmp_path: Path) -> None:
    path = write_dump_of(tmp_path / "dump.json", GRAPH)
    settings = KnowledgeBaseConfig().wikidata
    path.write_text(path.read_text().replace('"Q73"', '"73"'))
    source = read_wikidata(path, str(tmp_path / "root"), settings, 16, 1, block_bytes=100)
    with pytest.raises(InputError, match=r"dump\.json, line 5 is no Wikidata entity"):
        list(source.parts())
    assert not [path for path in (tmp_path / "root").rglob("*") if path.is_file()]


def test_an_unknown_class_is_an_error_and_the_parsed_parts_stay(tmp_path: Path) -> None:
    dump = str(write_dump_of(tmp_path / "dump.json", GRAPH))
    with pytest.raises(
        InputError, match=r"include: Q404 is no class in dump\.json.* stays in .*kb\.parts"
    ):
        build(tmp_path / "kb", dump, ["Q404"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.json", "kb.parts"]
    build(tmp_path / "kb", dump, ["Q1"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.json", "kb"]
