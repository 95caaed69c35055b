"""``entities link``: a folder of tars in, one Parquet file out; and what is wrong in one line."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from openmofi.cli import main
from openmofi.entities import pairs as pairs_module
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.pairs import link_pairs
from openmofi.errors import InputError
from openmofi.shards import write_tar
from support.entities import GEORGIA, write_csv
from support.matchers import Array, put, rewrite


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kb")
    table = str(write_csv(folder / "kb.csv", GEORGIA))
    return Path(build_knowledge_base_folder(str(folder / "kb"), csv=table))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    title = json.dumps({"title": "Tbilisi"}).encode()
    write_tar(
        folder / "00000.tar",
        [
            ("0", {"txt": b"Flag of Georgia, Tbilisi", "json": b"{}"}),
            ("1", {"txt": b"Flag of Georgia", "json": title}),
            ("2", {"txt": b"nothing", "json": b"{damaged"}),
            ("3", {"jpg": b"no caption"}),
        ],
    )
    write_tar(
        folder / "00001.tar",
        [
            ("0", {"txt": b"", "json": title}),
            ("1", {"txt": b"\xff\xfe Atlanta \x00", "json": b"[]"}),
            ("2", {"txt": b"Tbilisi and Atlanta", "json": json.dumps({"title": 5}).encode()}),
        ],
    )
    return folder


def linked(whole: Path, pairs: Path, out: Path, *options: str) -> list[dict[str, object]]:
    command = ["entities", "link", "--kb", str(whole), "--pairs", str(pairs), "--out", str(out)]
    assert main([*command, *options]) == 0
    rows: list[dict[str, object]] = pq.read_table(out).to_pylist()
    return rows


def best(rows: list[dict[str, object]], *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in columns) for row in rows if row["rank"] == 0]


def test_the_columns(tmp_path: Path, whole: Path, pairs: Path) -> None:
    linked(whole, pairs, tmp_path / "links.parquet")
    schema = pq.read_schema(tmp_path / "links.parquet")
    assert schema.names == [
        "shard", "key", "start", "end", "surface", "entity_id", "rank", "score", "mention",
        "prior", "agreement", "reasons",
    ]  # fmt: skip
    assert not any(field.nullable for field in schema)


def test_captions_are_linked_and_mentions_numbered(
    tmp_path: Path, whole: Path, pairs: Path
) -> None:
    rows = linked(whole, pairs, tmp_path / "links.parquet")
    assert best(rows, "shard", "key", "mention", "start", "surface", "entity_id") == [
        ("00000", "0", 0, 8, "Georgia", "Q230"),
        ("00000", "0", 1, 17, "Tbilisi", "Q994"),
        ("00000", "1", 0, 8, "Georgia", "Q1428"),
        ("00001", "1", 0, 3, "Atlanta", "Q23556"),
        ("00001", "2", 0, 0, "Tbilisi", "Q994"),
        ("00001", "2", 1, 12, "Atlanta", "Q23556"),
    ]


def test_a_title_speaks_and_is_not_linked(tmp_path: Path, whole: Path, pairs: Path) -> None:
    rows = linked(whole, pairs, tmp_path / "links.parquet", "--titles")
    assert ("00000", "1", 0, "Georgia", "Q230") in best(
        rows, "shard", "key", "mention", "surface", "entity_id"
    )
    assert len(best(rows, "key")) == 6


def test_no_json_is_read_without_titles(
    tmp_path: Path, whole: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = pairs_module.TarReader.read

    def spy(self: object, offset: int, length: int) -> bytes:
        data: bytes = original(self, offset, length)  # type: ignore[arg-type]
        read.append(data.decode("utf-8", "replace"))
        return data

    monkeypatch.setattr(pairs_module.TarReader, "read", spy)
    linked(whole, pairs, tmp_path / "links.parquet")
    assert len(read) == 6
    assert not [text for text in read if "{" in text or "[" in text]


def test_counts(tmp_path: Path, whole: Path, pairs: Path) -> None:
    counts = link_pairs(str(whole), pairs, tmp_path / "links.parquet")
    assert (counts.samples, counts.linked, counts.mentions, counts.candidates) == (6, 4, 6, 8)
    dropped = {rule: count for rule, count in counts.dropped.items() if count}
    assert dropped == {"function_word": 4}  # "of", "of", "nothing", "and"


def test_what_was_dropped_is_said(
    tmp_path: Path, whole: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    linked(whole, pairs, tmp_path / "links.parquet")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("6 mentions, 8 candidates in 4 of 6 captions")
    assert lines[1] == "no mention: 4 function_word"


# --- bad input ------------------------------------------------------------------------------------


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("place", ["file/x.parquet", "file/deeper/x.parquet", "folder"])
def test_where_nothing_can_be_written_is_one_line(
    tmp_path: Path, whole: Path, pairs: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    command = ["entities", "link", "--kb", str(whole), "--pairs", str(pairs)]
    assert f"cannot write {tmp_path}/{place}" in refused(
        [*command, "--out", f"{tmp_path}/{place}"], capsys
    )
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"


def test_a_file_that_is_there_stays_if_linking_fails(
    tmp_path: Path, whole: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "links.parquet"
    out.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pairs_module.pq, "write_table", full)
    with pytest.raises(InputError, match="No space left"):
        link_pairs(str(whole), pairs, out)
    assert out.read_text() == "old"
    assert not list(tmp_path.glob(".writing*"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"recognizer": "folder"}, "'recognizer' is named if, and only if, 'mentions' asks"),
        ({"mentions": "both"}, "'recognizer' is named if, and only if, 'mentions' asks"),
        ({"mentions": "model"}, "'mentions'.*'matcher', 'recognizer' or 'both'.*got 'model'"),
        ({"mentions": "recognizer", "recognizer": "{tmp}/absent"}, "absent"),
        ({"kind_weights": {"beast": 1}}, "'kind_weights.beast"),
        ({"kind_weights": {"animal": "much"}}, "'kind_weights.animal'.*got 'much'"),
        ({"kind_weights": {"animal": float("nan")}}, "'kind_weights.animal'.*finite"),
        ({"name_weight": float("nan")}, "'name_weight'.*finite"),
        ({"prior_weight": float("inf")}, "'prior_weight'.*finite"),
        ({"context_weight": -1}, "'context_weight'"),
        ({"not_shown": ["joy"]}, "'not_shown.0'.*got 'joy'"),
        ({"max_candidates": 0}, "'max_candidates'"),
        ({"max_candidates": 65}, "'max_candidates'"),
        ({"rounds": 0}, "'rounds'"),
        ({"singular_share": 1}, "'singular_share'"),
        ({"singular_share": 0.5, "head_share": 0.5}, "less than 1 together"),
        ({"fields": []}, "'fields'"),
        ({"encoder": "{tmp}/encoder"}, "has no dense vectors; build it with --encoder"),
        ({"top_k": 5}, "unknown key 'top_k'; known here: .*case_weight"),
    ],
)
def test_bad_settings_are_one_line(
    tmp_path: Path,
    whole: Path,
    pairs: Path,
    capsys: pytest.CaptureFixture[str],
    config: dict[str, object],
    message: str,
) -> None:
    filled = {
        key: value.format(tmp=tmp_path) if isinstance(value, str) else value
        for key, value in config.items()
    }
    (tmp_path / "link.yaml").write_text(yaml.safe_dump(filled))
    out = tmp_path / "new" / "links.parquet"
    command = ["entities", "link", "--kb", str(whole), "--pairs", str(pairs), "--out", str(out)]
    error = refused([*command, "--config", f"{tmp_path}/link.yaml"], capsys)
    assert re.search(message, error), error
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("kinds.npy", 255, r"kinds\.npy does not fit"),
        ("matcher/posting_entities.npy", 10**6, "contradict|a row is missing"),
        ("matcher/posting_entities.npy", -1, "contradict|a row is missing"),
        ("matcher/posting_starts.npy", 10**6, "contradict"),
        ("vectors/columns.npy", 10**6, "the entity vectors contradict each other"),
        ("vectors/columns.npy", -1, "the entity vectors contradict each other"),
    ],
)
def test_damaged_numbers_are_one_line(
    tmp_path: Path,
    whole: Path,
    pairs: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: int,
    wanted: str,
) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    rewrite(copy / name, put(1 if "starts" in name else slice(None), value))
    out = tmp_path / "links.parquet"
    error = refused(
        ["entities", "link", "--kb", str(copy), "--pairs", str(pairs), "--out", str(out)], capsys
    )
    assert re.search(wanted, error), error
    assert not out.exists()


def test_unknown_flags_do_no_harm(tmp_path: Path, whole: Path, pairs: Path) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))

    def set_high_bits(array: Array) -> Array:
        return array | np.uint8(0xF0)

    rewrite(copy / "matcher" / "posting_flags.npy", set_high_bits)
    first = linked(whole, pairs, tmp_path / "first.parquet")
    assert linked(copy, pairs, tmp_path / "second.parquet") == first
