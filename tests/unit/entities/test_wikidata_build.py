"""Knowledge bases from Wikidata dumps: what is counted, and which entities are taken."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.wikidata_dump import write_dump
from benchmarks.wikidata_facts import Entity, entities, truth
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.compile import compile_sources
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.entities.wikidata_parts import read_wikidata
from openmofi.errors import InputError
from openmofi.keys import hash_folder
from support.entities import write_dump_of

ITEMS, SEED = 800, 11
# A circle Q1 > Q2 > Q3 > Q1 with Q4 below, Q9 means Q2; Q6 is both a class and an instance.
GRAPH: dict[str, dict[str, Any]] = {
    "Q1": {"P279": ["Q3"]},
    "Q2": {"P279": ["Q1"]},
    "Q3": {"P279": ["Q2"]},
    "Q4": {"P279": ["Q9"]},
    "Q9": {"redirect": "Q2"},
    "Q5": {"P31": ["Q4"], "sites": 3},
    "Q6": {"P31": ["Q70"], "P279": ["Q70"]},
    "Q70": {},
    "Q71": {"P31": ["Q6"], "sites": 1},
    "Q72": {"P31": ["Q6", "Q4"]},
    "Q73": {"P31": ["Q999"]},
}


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("dump") / "dump.json.gz"
    write_dump(path, ITEMS, seed=SEED, bytes_per_item=1500)
    return str(path)


def build(out: Path, dump: str, **wikidata: Any) -> KnowledgeBase:
    config = {"wikidata": {"exclude": [], **wikidata}}
    return load_knowledge_base_folder(
        build_knowledge_base_folder(str(out), wikidata=dump, config=config)
    )


def ids(base: KnowledgeBase) -> set[str]:
    return set(base.entities["entity_id"].to_pylist())


def counts(base: KnowledgeBase) -> Mapping[str, int]:
    found: dict[str, int] = json.loads((base.folder / "kb.json").read_text())["counts"]
    return found


# What a generated dump means, told without our code.


def classes_of(entity: Entity) -> tuple[set[str], set[str]]:
    """Classes and broader classes that are meant."""
    kinds = (entity.instance_of, entity.subclass_of)
    one, other = ({x.value for x in y if x.value and x.rank != "deprecated"} for y in kinds)
    return one, other


def wanted(include: Sequence[str], exclude: Sequence[str], least: int = 0) -> set[str]:
    items = {x.id: x for x in entities(ITEMS, SEED) if x.type == "item"}
    below = {root: {root} for root in (*include, *exclude)}
    for found in below.values():
        while more := {x.id for x in items.values() if classes_of(x)[1] & found} - found:
            found |= more

    def is_of(entity: Entity, roots: Sequence[str]) -> bool:
        return any(entity.id in below[x] or classes_of(entity)[0] & below[x] for x in roots)

    return {
        x.id
        for x in items.values()
        if any(0 < len(x.labels.get(code, "")) <= 250 for code in ("en", "mul"))
        and (not include or is_of(x, include))
        and not is_of(x, exclude)
        and x.sitelinks >= least
    }


@pytest.mark.parametrize(
    ("include", "exclude", "least"),
    [
        ((), (), 0),
        (("Q35120",), (), 0),
        (("Q7239", "Q1000000003"), ("Q5",), 0),
        (("Q35120",), ("Q1000000001", "Q13442814"), 2),
        ((), ("Q35120",), 1),
    ],
)
def test_what_is_taken_of_a_generated_dump(
    tmp_path: Path, dump: str, include: tuple[str, ...], exclude: tuple[str, ...], least: int
) -> None:
    base = build(tmp_path / "kb", dump, include=include, exclude=exclude, min_sitelinks=least)
    expected = wanted(include, exclude, least)
    assert ids(base) == expected
    assert 10 < len(expected) < ITEMS
    told, facts = counts(base), truth(ITEMS, SEED)["counts"]
    assert {name: told[name] for name in facts} == facts
    named = facts["items"] - facts["without_name"]
    assert told.get("not_selected", 0) == named - len(expected)


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({}, {"Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q70", "Q71", "Q72", "Q73"}),
        ({"include": ["Q1"]}, {"Q1", "Q2", "Q3", "Q4", "Q5", "Q72"}),  # all around the circle
        ({"include": ["Q9"]}, {"Q1", "Q2", "Q3", "Q4", "Q5", "Q72"}),  # the redirect's target
        ({"include": ["Q4"]}, {"Q4", "Q5", "Q72"}),
        ({"include": ["Q70"]}, {"Q6", "Q70", "Q71", "Q72"}),
        ({"include": ["Q70", "Q4"], "exclude": ["Q6"]}, {"Q4", "Q5", "Q70"}),
        ({"include": ["Q4"], "exclude": ["Q9"]}, None),
        ({"exclude": ["Q9"]}, {"Q6", "Q70", "Q71", "Q73"}),
        ({"include": ["Q999"]}, {"Q73"}),  # no item, but a class
        ({"exclude": ["Q12345"]}, {"Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q70", "Q71", "Q72", "Q73"}),
        ({"min_sitelinks": 1}, {"Q5", "Q71"}),
        ({"min_sitelinks": 3}, {"Q5"}),
        ({"include": ["Q6"], "min_sitelinks": 1}, {"Q71"}),
    ],
)
def test_types_are_found_through_subclasses(
    tmp_path: Path, settings: dict[str, Any], left: set[str] | None
) -> None:
    dump = str(write_dump_of(tmp_path / "dump.json", GRAPH))
    if left is None:
        with pytest.raises(InputError, match="would have no entity"):
            build(tmp_path / "kb", dump, **settings)
    else:
        assert ids(build(tmp_path / "kb", dump, **settings)) == left


def test_parents_are_found_through_redirects(tmp_path: Path) -> None:
    dump = str(write_dump_of(tmp_path / "dump.json", GRAPH))
    base = build(tmp_path / "kb", dump, include=["Q4", "Q2"])
    graph = pq.read_table(base.folder / "graph.parquet").to_pylist()
    assert {"entity_id": "Q4", "parent_id": "Q2", "relation": "subclass_of"} in graph
    assert "Q9" not in base
    assert not any("Q9" in edge.values() for edge in graph)


def test_homonyms_are_as_likely_as_they_have_pages(tmp_path: Path) -> None:
    items = {
        "Q230": {"label": "Georgia", "sites": 289},
        "Q1428": {"label": "Georgia", "sites": 209},
        "Q7": {"label": "Peach", "aliases": ["georgia"], "sites": 19},
    }
    dump = str(write_dump_of(tmp_path / "dump.json", items))
    base = build(tmp_path / "kb", dump, alias_weight=0.25)
    assert base.candidates("Georgia") == [
        ("Q230", pytest.approx(290 / 505)),
        ("Q1428", pytest.approx(210 / 505)),
        ("Q7", pytest.approx(5 / 505)),
    ]


def test_workers_and_compression_change_nothing(tmp_path: Path) -> None:
    found = []
    for suffix, workers in (("", 1), (".gz", 1), (".bz2", 2)):
        path = tmp_path / f"dump.json{suffix}"
        write_dump(path, 400, seed=2, bytes_per_item=1000)
        source = read_wikidata(
            path, str(tmp_path / "parts"), KnowledgeBaseConfig().wikidata, 16, workers,
            block_bytes=30_000,
        )  # fmt: skip
        folder = tmp_path / f"kb{suffix}"
        compile_sources([source], KnowledgeBaseConfig(), "a digest", folder)
        (folder / "kb.json").unlink()  # it names the file
        found.append(hash_folder(folder))
    assert len(list((tmp_path / "parts").rglob("*.parquet"))) > 30
    assert found[0] == found[1] == found[2]
