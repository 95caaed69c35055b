import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.tabular import read_table_source, table_rows
from openmofi.errors import InputError
from support.entities import GEORGIA, write_csv

ROW = '{"entity_id": "Q1", "name": %s, "aliases": "", "description": "", "prior": %s}'
HEADER = "entity_id,name,aliases,description,prior,parents\n"


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    from_csv = list(table_rows(write_csv(tmp_path / "kb.csv", GEORGIA)))
    lines = [json.dumps({**row, "aliases": row["aliases"].split("|")}) for row in GEORGIA]
    (tmp_path / "kb.jsonl").write_text("\n".join(lines))
    from_jsonl = list(table_rows(tmp_path / "kb.jsonl"))
    assert [row.line for row in from_csv] == [row.line + 1 for row in from_jsonl]
    assert [row[2:] for row in from_jsonl] == [row[2:] for row in from_csv]


def test_the_name_is_an_alias_and_prior_and_parents_are_optional(tmp_path: Path) -> None:
    path = tmp_path / "kb.csv"
    path.write_text("entity_id,name,aliases,description\nQ1, red  fox ,fox| |red fox,\n")
    [entity] = table_rows(path)
    assert entity.name == "red fox"
    assert entity.aliases == (("red fox", 1.0), ("fox", 1.0))
    assert (entity.description, entity.popularity, entity.broader) == ("", 1.0, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column 'entity_id'"),
        ("entity_id,name,description\nQ1,a,b\n", "lacks the column 'aliases'; its columns: .*name"),
        (HEADER + "Q1,a,,,,\nQ2,b,,,,\nQ1,c,,,,\n", "line 4: entity id 'Q1' is also in line 2"),
        (HEADER + "Q1,,,,,\n", "line 2: 'name' is empty"),
        (HEADER + ",a,,,,\n", "line 2: 'entity_id' is empty"),
        (HEADER + "Q1,a,,,much,\n", "line 2: 'prior' must be a number of 0 or more, got 'much'"),
        (HEADER + "Q1,a,,,-1,\n", "line 2: 'prior' must be"),
        (HEADER + "Q1,a,,,nan,\n", "line 2: 'prior' must be"),
        (HEADER + "Q1,a,,,1e31,\n", "line 2: 'prior' must be .* got '1e31'; the greatest is 1e"),
        (HEADER + "Q1,a\n", "line 2: not as many fields as columns"),
        (HEADER + "Q1,a,,,,,,\n", "line 2: not as many fields as columns"),
        (HEADER + 'Q1,"a,,,,\n', r"kb\.csv, line \d: unexpected end"),
    ],
)
def test_bad_csv_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "kb.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        build_knowledge_base_folder(str(tmp_path / "out"), csv=str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["kb.csv"]
    assert "kb.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1 is not JSON"),
        ("\n[1]", "line 2 is not a JSON object"),
        ('{"entity_id": "Q1", "name": "a", "aliases": ""}', "line 1 lacks the field 'description'"),
        ("[" * 100_000, "line 1 is not JSON"),
        (ROW % ('["fox"]', "1"), "line 1: 'name' must be text, not a JSON list or object"),
        (ROW % ('"fox"', "[1]"), "line 1: 'prior' must be"),
        (ROW % ('"fox"', "9" * 400), "line 1: 'prior' must be .* …"),
    ],
)
def test_bad_jsonl_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "kb.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(table_rows(path))


def test_jsonl_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "kb.jsonl"
    path.write_text(ROW % ('"fox"', "1"), encoding="utf-8-sig")
    assert [row.name for row in table_rows(path)] == ["fox"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found: .*absent\.csv"):
        read_table_source(tmp_path / "absent.csv", 16)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([".csv", ".jsonl"]))
def test_any_bytes_end_in_a_source_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    path.write_bytes((HEADER.encode() if suffix == ".csv" else b"") + data)
    try:
        entities = list(table_rows(path))
    except InputError:
        entities = []
    assert all(entity.entity_id and entity.name for entity in entities)
