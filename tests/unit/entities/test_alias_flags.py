"""What folding loses and the flags keep: how an alias is written, and which one is the name."""

from pathlib import Path

import pyarrow.parquet as pq

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.kernels_candidates import IS_NAME, WRITTEN_SMALL
from openmofi.entities.knowledge_base import load_knowledge_base_folder
from openmofi.entities.sources import SourceRow, part_table
from support.entities import write_csv

ROW = {"description": "", "prior": "", "parents": ""}
BOTH = WRITTEN_SMALL | IS_NAME


def flags_of(name: str, *aliases: str) -> dict[str, int]:
    """The flags of each surface of one entity."""
    row = SourceRow("e", 1, name, "", 1.0, tuple((one, 1.0) for one in (name, *aliases)))
    [found] = part_table([row], 16, {}).to_pylist()
    return dict(zip(found["surfaces"], found["flags"], strict=True))


def test_the_last_word_says_whether_an_alias_is_written_small() -> None:
    found = flags_of("Arabian camel", "CAMEL", "camel", "Élan", "7 Up", "42", "\u4eac", "the Hague")
    assert found == {
        "arabian camel": BOTH,
        "camel": WRITTEN_SMALL,  # once in capitals, once not
        "\u00e9lan": 0,
        "7 up": 0,
        "42": WRITTEN_SMALL,
        "\u4eac": WRITTEN_SMALL,
        "the hague": 0,
    }


def test_a_form_without_marks_has_the_flags_of_its_alias() -> None:
    assert flags_of("St. Louis") == {"st. louis": IS_NAME, "st louis": IS_NAME}
    assert flags_of("Fox", "fox") == {"fox": BOTH}


def test_flags_of_an_entity_in_two_sources_are_put_together(tmp_path: Path) -> None:
    one = [{**ROW, "entity_id": "a", "name": "crane", "aliases": "Big Bird"}]
    two = [
        {**ROW, "entity_id": "a", "name": "bird", "aliases": "Crane|big bird"},
        {**ROW, "entity_id": "b", "name": "Crane", "aliases": ""},
    ]
    config = {"same_id": "combine"}
    bases = []
    for number, rows in enumerate((one, two)):
        table = str(write_csv(tmp_path / f"{number}.csv", rows))
        out = str(tmp_path / f"kb{number}")
        bases.append(str(build_knowledge_base_folder(out, csv=table, config=config)))
    folder = build_knowledge_base_folder(str(tmp_path / "kb"), merge=bases, config=config)
    rows = pq.read_table(folder / "aliases.parquet").to_pylist()
    assert {(row["surface"], row["entity_id"]): row["flags"] for row in rows} == {
        ("big bird", "a"): WRITTEN_SMALL,
        ("bird", "a"): BOTH,
        ("crane", "a"): BOTH,
        ("crane", "b"): IS_NAME,
    }
    matcher = load_knowledge_base_folder(folder).matcher
    alias = matcher.look_up("crane")
    assert alias is not None
    begin, end = matcher.index.posting_starts[alias : alias + 2].tolist()
    entities = matcher.index.posting_entities[begin:end].tolist()
    flags = matcher.index.posting_flags[begin:end].tolist()
    assert dict(zip(entities, flags, strict=True)) == {0: BOTH, 1: IS_NAME}
