"""What sort of thing an entity is: told by its source, or that of the nearest class."""

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.gather import gather
from openmofi.entities.kinds import KINDS, wikidata_kinds
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.sources import Source, SourceRow, parts_of
from openmofi.errors import InputError
from support.entities import write_csv, write_dump_of, write_wordnet

IDS = [f"e{number}" for number in range(10)]
TOLD = ("", "", "", "animal", "plant")
HEADER = "entity_id,name,aliases,description,prior,parents,kind\n"


def source(name: str, rows: list[SourceRow], **fields: Any) -> Source:
    return Source(name, name, "", lambda: parts_of(rows, 16, fields.get("counts", {})), **fields)


def nearest(parents: dict[str, set[str]], told: dict[str, str]) -> dict[str, str]:
    """The kind of what is nearest above, level by level; of several the first in `KINDS`."""
    found = dict(told)
    while True:
        new = {
            child: min((found[one] for one in above if one in found), key=KINDS.index)
            for child, above in parents.items()
            if child not in found and any(one in found for one in above)
        }
        if not new:
            return found
        found |= new


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_kinds_come_from_the_nearest_class_of_any_source(seed: int) -> None:
    # Circles, classes without a name, parents that nobody describes, entities of both sources.
    draw = random.Random(seed)
    parents: dict[str, set[str]] = {}
    told: dict[str, set[str]] = {}
    known = {one: draw.choice(TOLD[3:]) for one in draw.sample([*IDS, "x", "y"], 1)}
    sources, named = [], set()
    for number in range(2):
        rows = []
        for entity_id in draw.sample(IDS, 7):
            above = draw.sample([*IDS, "x", "y"], draw.choice((0, 1, 1, 2)))
            name, kind = draw.choice(("", "fox", "fox")), draw.choice(TOLD)
            parents.setdefault(entity_id, set()).update(above)
            named |= {entity_id} if name else set()
            if name and kind:
                told.setdefault(entity_id, set()).add(kind)
            relation = draw.choice(("instance_of", "subclass_of", "broader"))
            row = SourceRow(entity_id, 1, name, "", 1.0, ((name, 1.0),) if name else (), kind=kind)
            rows.append(row._replace(**{relation: tuple(above)}))
        sources.append(source(f"s{number}", rows, kinds=known if number else {}))
    if not named:
        return
    found = gather(sources, KnowledgeBaseConfig(same_id="combine"))
    own = {one: min(kinds, key=KINDS.index) for one, kinds in told.items()}
    wanted = nearest(parents, own | known)
    rows = found.entities.to_pylist()
    kinds = {row["entity_id"]: row["kind"] for row in rows}
    assert kinds == {one: wanted.get(one, "") for one in named}
    assert found.counts["entities_without_kind"] == list(kinds.values()).count("")


def base_of(folder: Path, **sources: Any) -> KnowledgeBase:
    return load_knowledge_base_folder(build_knowledge_base_folder(str(folder / "kb"), **sources))


def test_wikidata_inherits_through_classes_that_are_left_out(tmp_path: Path) -> None:
    root, kind = next(iter(wikidata_kinds().items()))
    items: dict[str, dict[str, Any]] = {
        root: {},
        "Q900001": {"P279": [root]},
        "Q900002": {"P279": ["Q900001"]},
        "Q900003": {"P279": ["Q900002"]},
        "Q900004": {"P31": ["Q900003"], "sites": 1, "label": "bear"},
        "Q900005": {"P31": ["Q900099"], "sites": 1, "label": "nothing"},
    }
    base = base_of(
        tmp_path,
        wikidata=str(write_dump_of(tmp_path / "dump.json", items)),
        config={"wikidata": {"min_sitelinks": 1, "exclude": []}},
    )
    assert [base.kind(one) for one in ("Q900004", "Q900005")] == [kind, ""]
    assert len(base) == 2
    assert base.kinds.tolist() == [KINDS.index(kind), 0]


def test_the_table_of_wikidata_holds_items_and_kinds() -> None:
    assert len(wikidata_kinds()) > 50
    for entity_id, kind in wikidata_kinds().items():
        assert re.fullmatch("Q[1-9][0-9]*", entity_id)
        assert kind in KINDS[1:]


def test_wordnet_tells_kinds_by_its_files(tmp_path: Path) -> None:
    base = base_of(tmp_path, wordnet=str(write_wordnet(tmp_path / "wordnet")))
    kinds = {base.name(one): base.kind(one) for one in base.entities["entity_id"].to_pylist()}
    assert kinds == {"animal": "animal", "crane": "animal", "Crane": "person", "person": "person"}
    assert base.head["counts"]["entities_without_kind"] == 0


@pytest.mark.parametrize("number", ["02", "29", "-1", "x"])
def test_a_file_that_is_none_of_nouns_is_named(tmp_path: Path, number: str) -> None:
    line = f"00000010 {number} n 01 animal 0 000 | a being\n"
    folder = write_wordnet(tmp_path / "wordnet", data_noun=line, index_noun="", noun_exc="")
    with pytest.raises(InputError, match=r"data\.noun, line 1 is no WNDB noun line"):
        base_of(tmp_path, wordnet=str(folder))


@pytest.mark.parametrize("kind", ["beast", "Animal", "an" * 100])
def test_an_unknown_kind_names_file_line_and_value(tmp_path: Path, kind: str) -> None:
    table = tmp_path / "kb.csv"
    table.write_text(f"{HEADER}Q1,fox,,,,,animal\nQ2,oak,,,,,{kind}\n")
    lines = tmp_path / "kb.jsonl"
    row = {"entity_id": "Q1", "name": "fox", "aliases": "", "description": "", "kind": kind}
    lines.write_text(f"\n{json.dumps(row)}\n")
    for path, line in ((table, 3), (lines, 2)):
        with pytest.raises(InputError) as caught:
            base_of(tmp_path, csv=str(path))
        said = str(caught.value)
        assert f"{path}, line {line}: 'kind' is '{kind[:40]}'" in said
        assert "animal, artifact" in said
        assert len(said.splitlines()) == 1
    assert not (tmp_path / "kb").exists()


def test_kinds_of_a_table_are_kept_and_inherited(tmp_path: Path) -> None:
    row = {"aliases": "", "description": "", "prior": ""}
    rows = [
        {**row, "entity_id": "a", "name": "bear", "parents": "", "kind": "animal"},
        {**row, "entity_id": "b", "name": "polar bear", "parents": "a", "kind": ""},
        {**row, "entity_id": "c", "name": "Bearland", "parents": "b", "kind": "location"},
        {**row, "entity_id": "d", "name": "thing", "parents": "d", "kind": ""},
    ]
    base = base_of(tmp_path, csv=str(write_csv(tmp_path / "kb.csv", rows)))
    assert [base.kind(one) for one in "abcd"] == ["animal", "animal", "location", ""]
    assert base.head["counts"]["entities_without_kind"] == 1
    assert np.array_equal(np.load(base.folder / "kinds.npy"), base.kinds)
