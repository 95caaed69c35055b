import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.wikidata_dump import write_dump
from openmofi.entities.build import build_knowledge_base, build_knowledge_base_folder
from openmofi.entities.knowledge_base import (
    load_knowledge_base,
    load_knowledge_base_folder,
    open_knowledge_base,
)
from openmofi.entities.sources import local_path
from openmofi.errors import InputError
from openmofi.keys import hash_folder
from openmofi.storage import open_store
from openmofi.versions import read_manifest
from support.entities import GEORGIA, NOUN_EXC, write_csv, write_wordnet


@pytest.fixture
def wordnet(tmp_path: Path) -> str:
    return str(write_wordnet(tmp_path / "wordnet"))


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(write_csv(tmp_path / "kb.csv", GEORGIA))


def test_sources_are_merged_and_read_back(tmp_path: Path, wordnet: str, table: str) -> None:
    uri = build_knowledge_base(str(tmp_path / "root"), wordnet=wordnet, csv=table)
    base = load_knowledge_base(uri)
    ids = base.entities.column("entity_id").to_pylist()
    assert ids == sorted(ids)
    assert len(base) == len(ids) == 9
    assert base.name("n00000020") == "crane"
    assert base.description("Q994") == "capital of the country Georgia in the Caucasus"
    assert "Q230" in base
    assert "Q2" not in base
    with pytest.raises(KeyError, match="Q2"):
        base.name("Q2")


def test_the_manifest_tells_what_is_in_it(tmp_path: Path, wordnet: str, table: str) -> None:
    uri = build_knowledge_base(str(tmp_path / "root"), wordnet=wordnet, csv=table)
    manifest = read_manifest(uri, "knowledge_base")
    content = manifest.content
    assert content["prefix"] == f"kb/{manifest.digest}"
    assert content["entities"] == 9
    assert [source["name"] for source in content["sources"]] == ["wordnet", "kb.csv"]
    assert "WordNet" in content["licence"]
    assert content["counts"]["ambiguous_aliases"] == 2  # "crane", "georgia"
    assert content["counts"]["parents"] == 3
    folder = tmp_path / "root" / content["prefix"]
    assert content["content_digest"] == hash_folder(folder)
    assert (folder / "NOTICE.txt").read_text() == "A licence of the maker of this file.\n"


def test_candidates_have_priors_that_add_up_to_one(tmp_path: Path, table: str) -> None:
    base = load_knowledge_base(build_knowledge_base(str(tmp_path), csv=table))
    candidates = base.candidates("GEORGIA")
    assert [entity for entity, _ in candidates] == ["Q1428", "Q230"]
    assert [prior for _, prior in candidates] == pytest.approx([2 / 3, 1 / 3])
    aliases = pq.read_table(base.folder / "aliases.parquet").group_by("surface")
    sums = aliases.aggregate([("prior", "sum")]).column("prior_sum").to_pylist()
    assert sums == pytest.approx([1.0] * len(sums))


def test_plurals_reach_their_singulars(tmp_path: Path, wordnet: str) -> None:
    base = load_knowledge_base(build_knowledge_base(str(tmp_path), wordnet=wordnet))
    for name in ("men", "man", "human beings", "persons"):
        assert [entity for entity, _ in base.candidates(name)] == ["n00000040"]
    assert [entity for entity, _ in base.candidates("cranes")] == ["n00000030", "n00000020"]


def test_an_abbreviation_is_found_without_its_point(tmp_path: Path) -> None:
    row = {"entity_id": "Q1", "name": "St. Louis", "aliases": "", "description": ""}
    base = load_knowledge_base(
        build_knowledge_base(str(tmp_path), csv=str(write_csv(tmp_path / "kb.csv", [row])))
    )
    assert base.candidates("St Louis") == base.candidates("St. Louis") == [("Q1", 1.0)]


def test_the_same_sources_are_reused_and_that_is_said(
    tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = build_knowledge_base(str(tmp_path / "root"), csv=table)
    folder = load_knowledge_base(first).folder
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    capsys.readouterr()
    assert build_knowledge_base(str(tmp_path / "root"), csv=table) == first
    assert "reused" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, wordnet: str, table: str) -> None:
    folders = [
        build_knowledge_base_folder(str(tmp_path / name), wordnet=wordnet, csv=table)
        for name in ("one", "two")
    ]
    assert hash_folder(folders[0]) == hash_folder(folders[1])
    assert (
        load_knowledge_base_folder(folders[0]).digest
        == load_knowledge_base(
            build_knowledge_base(str(tmp_path / "root"), wordnet=wordnet, csv=table)
        ).digest
    )


def test_processes_with_other_hashes_write_the_same_bytes(
    tmp_path: Path, wordnet: str, table: str
) -> None:
    dump = tmp_path / "dump.json.gz"
    write_dump(dump, 200, seed=8, bytes_per_item=800)
    code = "import sys; from openmofi.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "kb", "build", "--wikidata", str(dump)]
    command += ["--wordnet", wordnet, "--csv", table, "--out"]
    rows = [{**row, "entity_id": f"our-{row['entity_id']}"} for row in GEORGIA]
    write_csv(local_path(table), rows)  # the dump has the same ids
    digests = set()
    for seed in ("1", "2"):
        out = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([*command, str(out)], env=environment, check=True, capture_output=True)
        digests.add(hash_folder(out))
    here = build_knowledge_base_folder(
        str(tmp_path / "here"), wikidata=str(dump), wordnet=wordnet, csv=table, workers=2
    )
    assert digests == {hash_folder(here)}
    base = load_knowledge_base_folder(here)
    assert all(one in base for one in ("Q42", "n00000010", "our-Q230"))


def test_another_setting_or_source_is_another_knowledge_base(
    tmp_path: Path, wordnet: str, table: str
) -> None:
    root = str(tmp_path / "root")
    uris = {
        build_knowledge_base(root, csv=table),
        build_knowledge_base(root, csv=table, config={"max_alias_tokens": 1.0}),
        build_knowledge_base(root, csv=table, wordnet=wordnet),
    }
    (local_path(wordnet) / "noun.exc").write_text(NOUN_EXC + "beasties beast\n")
    uris.add(build_knowledge_base(root, csv=table, wordnet=wordnet))
    assert len(uris) == 4


def test_long_aliases_are_left_out_and_counted(tmp_path: Path, table: str) -> None:
    uri = build_knowledge_base(str(tmp_path), csv=table, config={"max_alias_tokens": 1})
    assert read_manifest(uri, "knowledge_base").content["counts"]["aliases_too_long"] == 3
    assert load_knowledge_base(uri).candidates("Peach State") == []


def test_ids_that_clash_are_named(tmp_path: Path, wordnet: str) -> None:
    rows = [{"entity_id": "n00000010", "name": "a", "aliases": "", "description": ""}]
    table = str(write_csv(tmp_path / "kb.csv", rows))
    with pytest.raises(InputError, match=r"'n00000010' is in wordnet and in kb\.csv"):
        build_knowledge_base(str(tmp_path / "root"), wordnet=wordnet, csv=table)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "no entity"),
        ("Q1,!!!,?,nothing to match\n", "no alias"),
    ],
)
def test_nothing_to_link_to_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "kb.csv"
    path.write_text(f"entity_id,name,aliases,description\n{rows}")
    with pytest.raises(InputError, match=message):
        build_knowledge_base(str(tmp_path / "root"), csv=str(path))
    assert not (tmp_path / "root").exists()
    with pytest.raises(InputError, match=message):
        build_knowledge_base_folder(str(tmp_path / "out"), csv=str(path))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kb.csv"]


def test_no_source_and_unknown_keys_are_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(InputError, match="no source"):
        build_knowledge_base(str(tmp_path))
    with pytest.raises(InputError, match="unknown key 'languages'"):
        build_knowledge_base(str(tmp_path), csv=table, config={"languages": ["en"]})


def test_a_folder_is_replaced_only_if_it_is_a_knowledge_base(
    tmp_path: Path, wordnet: str, table: str
) -> None:
    out = str(tmp_path / "kb")
    build_knowledge_base_folder(out, csv=table)
    base = load_knowledge_base_folder(build_knowledge_base_folder(out, wordnet=wordnet))
    assert "n00000010" in base
    assert "Q230" not in base
    with pytest.raises(InputError, match="is no knowledge base"):
        build_knowledge_base_folder(wordnet, csv=table)
    assert not list(tmp_path.glob(".writing-*"))


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path, table: str) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    prefix = f".writing-kb-{socket.gethostname()}-"
    left, live = tmp_path / f"{prefix}{ended.pid}-x1", tmp_path / f"{prefix}{os.getpid()}-x2"
    others = [tmp_path / f".writing-kb2-{socket.gethostname()}-{ended.pid}-x3", live]
    for folder in (left, *others):
        (folder / "new").mkdir(parents=True)
    build_knowledge_base_folder(str(tmp_path / "kb"), csv=table)
    assert not left.exists()
    assert all(folder.exists() for folder in others)


def test_a_damaged_knowledge_base_is_named(tmp_path: Path, table: str) -> None:
    folder = build_knowledge_base_folder(str(tmp_path / "kb"), csv=table)
    (folder / "entities.arrow").write_bytes(b"ARROW1")
    with pytest.raises(InputError, match=r"entities\.arrow is missing or damaged"):
        len(load_knowledge_base_folder(folder))
    head = json.loads((folder / "kb.json").read_text())
    (folder / "kb.json").write_text(json.dumps({**head, "format": 99}))
    with pytest.raises(InputError, match="format 99"):
        load_knowledge_base_folder(folder)
    (folder / "kb.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        load_knowledge_base_folder(folder)
    (folder / "kb.json").unlink()
    with pytest.raises(InputError, match=r"no kb\.json"):
        load_knowledge_base_folder(folder)


def test_a_uri_and_a_folder_open_alike(tmp_path: Path, table: str) -> None:
    uri = build_knowledge_base(str(tmp_path / "root"), csv=table)
    folder = build_knowledge_base_folder(str(tmp_path / "kb"), csv=table)
    assert open_knowledge_base(uri).digest == open_knowledge_base(str(folder)).digest
    assert open_store(str(tmp_path / "root")).exists(
        f"kb/{open_knowledge_base(uri).digest}/kb.json"
    )
