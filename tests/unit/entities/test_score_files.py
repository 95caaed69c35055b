"""Bad links and gold standards: one line that says what is wrong where."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi.entities.quality.gold import read_gold
from openmofi.entities.quality.judged import read_links
from openmofi.entities.quality.score import score_links
from openmofi.errors import InputError, ShardError
from support.scores import gold_line, link, write_gold, write_links

DUCK = "A duck on a pond."
LINE = gold_line("0", DUCK, [("duck", ["bird"], True), ("pond", ["lake"], False)])
MENTION = LINE["mentions"][0]
ROW = link("0", DUCK, "duck", "bird")


def lacking(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {other: value for other, value in values.items() if other != name}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (lacking(LINE, "shard"), "line 2 lacks the field 'shard'"),
        (lacking(LINE, "mentions"), "line 2 lacks the field 'mentions'"),
        ({**LINE, "key": 7}, "line 2: 'key' must be a string, got 7"),
        ({**LINE, "key": "first"}, "line 2: sample '00000/first' is also in line 1"),
        ({**LINE, "caption": None}, "line 2: 'caption' must be a string, got None"),
        ({**LINE, "caption": "\ud800"}, "line 2 holds half of a surrogate pair"),
        ({**LINE, "mentions": {}}, r"line 2: 'mentions' must be a list, got \{\}"),
        ({**LINE, "mentions": [3]}, "line 2, mention 1 must be a JSON object, got 3"),
        ({**LINE, "mentions": [MENTION, MENTION]}, "mention 2: 'start' 2 lies before the end"),
        ({**LINE, "source": 3}, "line 2: 'source' must be a string, got 3"),
        ([LINE], "line 2 is not a JSON object"),
    ],
)
def test_a_bad_line_of_gold_is_named(tmp_path: Path, line: Any, message: str) -> None:
    refused_gold(write_gold(tmp_path / "gold.jsonl", [gold_line("first", ""), line]), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "2"}, "'start' must be an integer, got '2'"),
        ({"start": True}, "'start' must be an integer, got True"),
        ({"end": 2}, "'start' 2 and 'end' 2 are no span of the caption, which has 17 characters"),
        ({"end": 18}, "'end' 18 are no span"),
        ({"start": -15}, "'start' -15 and 'end' 6 are no span"),
        ({"surface": "goose"}, "'surface' is 'goose', the caption has 'duck' at 2 to 6"),
        ({"ids": []}, r"'ids' must be a list of one or more strings, got \[\]"),
        ({"ids": ["a", 3]}, r"'ids' must be a list of one or more strings, got \['a', 3\]"),
        ({"ids": "bird"}, "'ids' must be a list, got 'bird'"),
        ({"ambiguous": 1}, "'ambiguous' must be true or false, got 1"),
    ],
)
def test_a_bad_mention_of_gold_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    line = {**LINE, "mentions": [{**MENTION, **change}]}
    refused_gold(write_gold(tmp_path / "gold.jsonl", [line]), f"line 1, mention 1: .*{message}")


@pytest.mark.parametrize("name", list(MENTION))
def test_every_field_of_a_mention_is_a_must(tmp_path: Path, name: str) -> None:
    line = {**LINE, "mentions": [lacking(MENTION, name)]}
    gold = write_gold(tmp_path / "gold.jsonl", [line])
    refused_gold(gold, f"line 1, mention 1 lacks the field '{name}'")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no caption"),
        (b"\n{", "line 2 is not JSON"),
        (b"[" * 100_000, "line 1 is not JSON"),
        (b'{"shard": "\xff"}', "is not UTF-8"),
    ],
)
def test_bytes_that_are_no_gold(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "gold.jsonl").write_bytes(data)
    refused_gold(tmp_path / "gold.jsonl", message)


def refused_gold(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=rf"gold\.jsonl.*{message}") as caught:
        read_gold(path)
    assert "\n" not in str(caught.value)


def test_offsets_count_characters(tmp_path: Path) -> None:
    line = gold_line("0", "🦆 Éider", [("Éider", ["bird"], False)])
    gold = read_gold(write_gold(tmp_path / "gold.jsonl", [line]))
    [mention] = gold["00000", "0"].mentions
    assert (mention.start, mention.end) == (2, 7)
    rows = [link("0", "🦆 Éider", "Éider", "bird")]
    found = read_links(write_links(tmp_path / "links.parquet", rows), gold)
    assert found.candidates["00000", "0"][0][:3] == (2, 7, "Éider")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"surface": "goose"},
            "sample '00000/0': the links have 'goose' at 2 to 6, .* 'duck'; were",
        ),
        ({"start": -15}, "'duck' at -15 to 6"),
        ({"start": 6, "end": 6, "surface": ""}, "'' at 6 to 6"),
        ({"rank": -1}, "row 1: 'rank' must be 0 or more, got -1"),
        ({"score": 1.5}, "row 1: 'score' must be between 0 and 1, got 1.5"),
        ({"score": float("nan")}, "row 1: 'score' must be between 0 and 1, got nan"),
        ({"entity_id": None}, "the column 'entity_id' has nulls"),
        ({"entity_id": "other"}, "sample '00000/0' has two rows of rank 0 at 2 to 6"),
    ],
)
def test_a_bad_row_of_links_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    refused_links(write_links(tmp_path / "links.parquet", [ROW, {**ROW, **change}]), message)


@pytest.mark.parametrize("name", list(ROW))
def test_every_column_is_a_must_and_has_its_type(tmp_path: Path, name: str) -> None:
    path = tmp_path / "links.parquet"
    table = pa.Table.from_pylist([ROW])
    pq.write_table(table.drop_columns([name]), path)
    refused_links(path, f"lacks the column {name}; --links takes a file of")
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, pa.array([[1]])), path)
    refused_links(path, f"the column '{name}' must hold (strings|integers|floats), not list")


def test_reasons_must_be_strings(tmp_path: Path) -> None:
    path = write_links(tmp_path / "links.parquet", [{**ROW, "reasons": 3}], reasons=pa.int32())
    refused_links(path, "the column 'reasons' must hold strings, not int32")


def test_files_that_are_no_links(tmp_path: Path) -> None:
    path = tmp_path / "links.parquet"
    path.write_bytes(b"PAR1 not")
    refused_links(path, "is no readable Parquet file")
    refused_links(write_links(path, []), "share no sample .*: none in the links, '00000/0' is the")
    refused_links(
        write_links(path, [{**ROW, "key": "1"}, {**ROW, "shard": "1"}]),
        "share no sample .*: '00000/1' is the first in the links, '00000/0' is the first in the",
    )


def refused_links(path: Path, message: str) -> None:
    gold = read_gold(write_gold(path.parent / "gold.jsonl", [LINE]))
    with pytest.raises(InputError, match=rf"links\.parquet.*{message}") as caught:
        read_links(path, gold)
    assert "\n" not in str(caught.value)


def test_a_posterior_may_be_rounded_above_one(tmp_path: Path) -> None:
    gold = write_gold(tmp_path / "gold.jsonl", [LINE])
    links = write_links(tmp_path / "links.parquet", [{**ROW, "score": 1.000001}])
    assert score_links(links, gold).calibration.bins[-1].mean_score == 1


def test_other_types_of_the_same_kind_are_read(tmp_path: Path) -> None:
    gold = write_gold(tmp_path / "gold.jsonl", [LINE])
    table = pa.Table.from_pylist([ROW])
    wide = pa.schema(
        [
            (field.name, pa.large_string() if pa.types.is_string(field.type) else field.type)
            for field in table.schema
        ]
    )
    pq.write_table(table.cast(wide), tmp_path / "links.parquet")
    assert score_links(tmp_path / "links.parquet", gold).all.links.hits == 1


def test_files_and_folders_that_are_not_there(tmp_path: Path) -> None:
    gold = write_gold(tmp_path / "gold.jsonl", [LINE])
    links = write_links(tmp_path / "links.parquet", [ROW])
    absent = tmp_path / "absent"
    with pytest.raises(InputError, match=r"gold file not found: .*absent"):
        score_links(links, absent)
    with pytest.raises(InputError, match=r"links file not found: .*absent"):
        score_links(absent, gold)
    with pytest.raises(InputError, match=r"no such folder: .*absent; --pairs takes"):
        score_links(links, gold, pairs=absent)


def test_a_tar_that_is_cut_short_is_no_missing_source(tmp_path: Path) -> None:
    gold = write_gold(tmp_path / "gold.jsonl", [LINE])
    links = write_links(tmp_path / "links.parquet", [ROW])
    (tmp_path / "00000.tar").write_bytes(json.dumps(LINE).encode() * 9)
    with pytest.raises(ShardError, match=r"00000\.tar"):
        score_links(links, gold)
