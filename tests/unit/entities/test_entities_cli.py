import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from openmofi.cli import main
from openmofi.shards import write_tar
from support.entities import GEORGIA, samples_uri, write_csv, write_wordnet


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    table = str(write_csv(tmp_path / "kb.csv", GEORGIA))
    assert main(["kb", "build", "--csv", table, "--out", str(tmp_path / "kb")]) == 0
    capsys.readouterr()
    return str(tmp_path / "kb")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    (tmp_path / "pairs").mkdir()
    members = [
        ("0", {"txt": b"Flag of Georgia, Tbilisi", "json": b"{}"}),
        ("1", {"txt": b"Flag of Georgia", "json": json.dumps({"title": "Tbilisi"}).encode()}),
        ("2", {"txt": b"nothing", "json": b"{damaged"}),
        ("3", {"jpg": b"no caption"}),
    ]
    write_tar(tmp_path / "pairs" / "00000.tar", members)
    return tmp_path / "pairs"


def test_show_prints_candidates_with_priors(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kb", "show", "Georgia", "--kb", folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0.667  Q1428  Georgia: state of the southern United States")
    assert lines[1].startswith("0.333  Q230   Georgia: country in the Caucasus")
    assert main(["kb", "show", "Atlantis", "--kb", folder]) == 0
    assert "no alias" in capsys.readouterr().out


def test_build_prints_a_manifest_uri_that_run_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(write_csv(tmp_path / "kb.csv", GEORGIA))
    root = str(tmp_path / "root")
    assert main(["kb", "build", "--csv", table, "--root", root]) == 0
    base = capsys.readouterr().out.strip()
    samples = samples_uri(tmp_path / "root", {"00000": [("Tbilisi", None, "ok")]})
    settings = tmp_path / "link.yaml"
    settings.write_text("max_candidates: 1\n")
    command = ["entities", "run", "--samples", samples, "--kb", base, "--config", str(settings)]
    assert main(command) == 0
    assert "/manifests/mentions/" in capsys.readouterr().out


def test_link_writes_the_columns_that_were_asked_for(
    tmp_path: Path, folder: str, pairs: Path
) -> None:
    out = tmp_path / "links.parquet"
    command = ["entities", "link", "--kb", folder, "--pairs", str(pairs), "--out", str(out)]
    assert main(command) == 0
    table = pq.read_table(out)
    columns = ["shard", "key", "start", "end", "surface", "entity_id", "rank", "score"]
    assert table.column_names == columns
    best = [link for link in table.to_pylist() if link["rank"] == 0]
    # The title settles sample 1's homonym and is no mention of the caption.
    assert [(link["key"], link["surface"], link["entity_id"]) for link in best] == [
        ("0", "Georgia", "Q230"),
        ("0", "Tbilisi", "Q994"),
        ("1", "Georgia", "Q230"),
    ]
    assert {link["shard"] for link in best} == {"00000"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["kb", "build", "--csv", "absent.csv", "--out", "{new}"], "absent.csv"),
        (["kb", "build", "--wordnet", "absent", "--out", "{new}"], "absent/data.noun"),
        (["kb", "build", "--out", "{new}"], "no source"),
        (["kb", "show", "fox", "--kb", "absent"], "absent is no knowledge base"),
        (["entities", "link", "--kb", "{kb}", "--pairs", "absent", "--out", "{new}"], "no tar"),
        (["entities", "run", "--samples", "x", "--kb", "y"], "not a manifest"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    folder: str,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    message: str,
) -> None:
    new = tmp_path / "new"
    filled = [part.format(new=new, kb=folder) for part in command]
    assert main(filled) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not new.exists()


def test_stop_phrases_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"entity_id": "Q1", "name": "Can", "aliases": "", "description": "a German band"}]
    table = str(write_csv(tmp_path / "kb.csv", rows))
    wordnet = str(write_wordnet(tmp_path / "wordnet"))
    out = str(tmp_path / "kb")
    assert main(["kb", "build", "--csv", table, "--wordnet", wordnet, "--out", out]) == 0
    assert main(["kb", "show", "can", "--kb", out]) == 0
    assert "stop phrase" in capsys.readouterr().out
