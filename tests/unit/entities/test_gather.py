"""Sources in one database: whose graph counts, and the same result however many threads work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi.database import working_database
from openmofi.entities import gather as gathering
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.gather import Gathered, gather
from openmofi.entities.sources import Part, Source, SourceRow, parts_of
from openmofi.errors import InputError
from support.entities import write_csv

SETTINGS = KnowledgeBaseConfig()


def source(name: str, *rows: SourceRow, **fields: Any) -> Source:
    counts = fields.setdefault("counts", {})
    return Source(name, name, "", lambda: parts_of(rows, 16, counts), **fields)


def row(entity_id: str, name: str = "", line: int = 1, **fields: Any) -> SourceRow:
    aliases = ((name, 1.0),) if name else ()
    return SourceRow(entity_id, line, name, "", 1.0, aliases, **fields)


def edges(found: Gathered) -> list[tuple[str, ...]]:
    return [tuple(one.values()) for one in found.graph.to_pylist()]


def test_edges_are_told_once_and_none_leads_to_itself() -> None:
    found = gather(
        [
            source(
                "one",
                row("b", "bear", instance_of=("a", "b", "x"), subclass_of=("a",)),
                row("a", "animal"),
                row("b2", subclass_of=("a",)),  # without a name
            )
        ],
        SETTINGS,
    )
    assert edges(found) == [
        ("b", "a", "instance_of"),
        ("b", "a", "subclass_of"),
        ("b", "x", "instance_of"),
    ]
    assert found.edges.tolist() == [[1, 0], [1, 0]]
    assert found.counts == {"parents": 2, "unknown_parents": 1, "entities_without_kind": 2}


def test_a_source_says_nothing_of_entities_that_it_does_not_have() -> None:
    nameless = source("one", row("a", instance_of=("b",)), row("b", "bear"))
    found = gather([nameless, source("two", row("a", "animal"))], SETTINGS)
    assert edges(found) == []


def test_an_entity_of_two_sources_has_the_parents_and_aliases_of_both() -> None:
    settings = KnowledgeBaseConfig(same_id="combine")
    one = source("one", row("a", "animal", instance_of=("b",)), row("b", "being"))
    two = source("two", row("a", "beast", broader=("c",)), row("c", "creature"))
    found = gather([one, two], settings)
    assert edges(found) == [("a", "b", "instance_of"), ("a", "c", "broader")]
    assert found.entities["name"].to_pylist() == ["animal", "being", "creature"]
    assert found.surfaces.to_pylist() == ["animal", "beast", "being", "creature"]


def test_an_id_twice_is_named_with_both_lines() -> None:
    twice = source("one", row("a", "x", 7), row("b", "y", 8), row("a", "z", 31))
    for settings in (SETTINGS, KnowledgeBaseConfig(same_id="combine")):
        with pytest.raises(InputError, match="one, line 31: entity id 'a' is also in line 7"):
            gather([twice], settings)


def test_redirects_are_followed_in_any_order_and_circles_end() -> None:
    chain = [row(f"r{number}", redirect_to=f"r{number + 1}") for number in range(40)]
    circle = [row("c0", redirect_to="c1"), row("c1", redirect_to="c0")]
    rows = [
        row("a", "x", instance_of=("r0", "c0", "r39")),
        *chain[::2],
        *circle,
        *reversed(chain[1::2]),
        row("r40", "end"),
    ]
    found = gather([source("one", *rows)], SETTINGS)
    assert found.edges.tolist() == [[0, 1]]
    assert found.counts["parents"] == 1


def test_a_redirect_told_twice_means_the_same_whatever_comes_first() -> None:
    rows = [row(f"r{number}", redirect_to=target) for number in range(50) for target in "yz"]
    user = row("a", "x", instance_of=tuple(f"r{number}" for number in range(50)))
    named = [row("y", "yes"), row("z", "zed")]
    for some in ([*rows, user, *named], [user, *named, *reversed(rows)]):
        assert edges(gather([source("one", *some)], SETTINGS)) == [("a", "y", "instance_of")]


def big_part(seed: int) -> Iterator[Part]:
    """Enough rows that DuckDB shares them out: 122,880 is what a thread takes at once."""
    draw = np.random.default_rng(seed)
    count, size = 80_000, 160_000
    ids = np.array([f"{number:x}" for number in range(count)])
    draw.shuffle(ids)
    words = np.array([f"word {number % 30_000}" for number in range(size)])
    owners, parents = draw.integers(0, count, size), draw.integers(0, count, size)
    nothing = pa.array([], pa.string())
    yield Part(
        entities=pa.table(
            {
                "entity_id": ids,
                "line": np.arange(count),
                "name": ids,
                "description": ids,
                "popularity": draw.random(count).astype(np.float32),
                "kind": np.array(["", "animal", "plant"])[draw.integers(0, 3, count)],
            }
        ),
        aliases=pa.table(
            {
                "entity_id": ids[owners],
                "surface": words,
                "weight": draw.random(size),
                "flags": draw.integers(0, 4, size).astype(np.uint8),
            }
        ),
        edges=pa.table(
            {
                "entity_id": ids[owners],
                "parent_id": ids[parents],
                "relation": pa.array(["instance_of", "subclass_of"] * (size // 2)),
            }
        ),
        redirects=pa.table({"entity_id": nothing, "target_id": nothing}),
    )


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(threads: int) -> Gathered:
        class Limited:
            def __init__(self, purpose: str) -> None:
                self._inner = working_database(purpose)

            def __enter__(self) -> Any:
                database = self._inner.__enter__()
                database.execute(f"SET threads = {threads}")
                return database

            def __exit__(self, *error: Any) -> None:
                self._inner.__exit__(*error)

        monkeypatch.setattr(gathering, "working_database", Limited)
        parts = [Source(f"s{seed}", "", "", lambda seed=seed: big_part(seed)) for seed in (1, 2)]
        return gather(parts, KnowledgeBaseConfig(same_id="combine"))

    one, eight = run(1), run(8)
    assert one.entities.equals(eight.entities)
    assert one.graph.equals(eight.graph)
    assert one.surfaces.equals(eight.surfaces)
    assert np.array_equal(one.edges, eight.edges)
    for array, other in zip(one.postings, eight.postings, strict=True):
        assert np.array_equal(array, other)
    sums = np.add.reduceat(one.postings.priors.astype(float), one.postings.starts[:-1])
    assert np.allclose(sums, 1, atol=1e-5)
    surfaces = np.repeat(np.arange(len(one.surfaces)), np.diff(one.postings.starts))
    pairs = np.stack([surfaces, one.postings.entities])
    assert len(np.unique(pairs, axis=1).T) == len(pairs.T)  # each entity once
    assert len(one.entities) == 80_000


def test_rows_are_in_the_order_of_ids_as_python_compares_them(tmp_path: Path) -> None:
    ids = ["Z", "a", "é", "\uffee", "\U0001f98a", "A1", "A", "a\u0301", "\uff21"]
    rows = [{"entity_id": x, "name": "fox", "aliases": "", "description": ""} for x in ids]
    table = str(write_csv(tmp_path / "kb.csv", rows))
    folder = build_knowledge_base_folder(str(tmp_path / "kb"), csv=table)
    found = pq.read_table(folder / "entities.parquet")["entity_id"].to_pylist()
    assert found == sorted(ids)
