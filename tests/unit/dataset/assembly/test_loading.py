"""From facts to the working database: what enters, by numbers; and labels written in blocks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from openmofi.dataset.assembly import filling, rules
from openmofi.dataset.assembly.facts import FACTS
from openmofi.dataset.assembly.loading import Loaded, load_facts
from openmofi.dataset.assembly.row_causes import RowDecisions
from openmofi.dataset.assembly.score_bins import histogram
from openmofi.errors import InputError
from openmofi.keys import content_digest, hash_bytes
from openmofi.records import from_rows, to_parquet
from openmofi.storage import Store, open_store
from openmofi.versions import ShardEntry, TableVersion
from support.assembly import assemble
from support.tables import labelled, write_pool

Fact = dict[str, Any]


def fact(name: str, *labels: tuple[str, float, float], **more: Any) -> Fact:
    plain: Fact = {"status": "ok", "with_text": False, "large_text": False, "held_out": False}
    entities, scores, contexts = zip(*labels, strict=True) if labels else ((), (), ())
    plain |= {"entities": entities, "scores": scores, "contexts": contexts}
    plain |= {"uid": hash_bytes(b"u" + name.encode()), "image_id": hash_bytes(name.encode())}
    return {**plain, "phash": 2**64 - 1, "heads": [], "candidates": [], **more}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def version(store: Store, shards: dict[str, list[Fact]]) -> TableVersion:
    entries = []
    for shard, facts in shards.items():
        table = from_rows(facts, FACTS)
        key = f"tables/dataset_facts/{shard}.parquet"
        store.put(key, to_parquet(table))
        digest = content_digest(table)
        entries.append(ShardEntry(shard, shard, digest, key, "", len(facts), 1, {}, {}))
    return TableVersion("dataset_facts", 1, {}, {}, tuple(entries))


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


SHARDS = {
    "a": [
        fact("1", ("z", 0.3, 0.5), ("b", 0.2, 1.0)),  # the first at both cuts, the other below one
        fact("2", ("z", 0.9, 0.9), status="too_small", phash=None),
        fact("3", ("é", 0.5, 0.6), ("a", 0.4, 0.6), phash=None),
    ],
    "b": [],
    "c": [
        fact("4", ("z", 0.5, 0.49)),
        fact("5", ("a", 0.5, 0.5), with_text=True, large_text=True, text="text_region"),
        fact("1", ("Z", 0.5, 0.5), ("z", 0.4, 0.7), large_text=True),
    ],
}


def loaded(database: duckdb.DuckDBPyConnection, store: Store, **decided: Any) -> Loaded:
    decisions = RowDecisions(min_score=0.3, min_context=0.5, **decided)
    return load_facts(database, store, version(store, SHARDS), decisions)


@pytest.mark.parametrize("rows", [1, 1000])
def test_what_is_left_enters_by_numbers(
    database: duckdb.DuckDBPyConnection, store: Store, monkeypatch: Any, rows: int
) -> None:
    monkeypatch.setattr(filling, "_ROWS", rows)
    made = loaded(database, store)
    assert made.starts.tolist() == [0, 3, 3, 6]
    assert made.fates.counts() == {"kept": 3, "no_entity": 1, "text_region": 1, "too_small": 1}
    pictures = database.execute(
        "SELECT id, printf('%016x%016x', high, low), printf('%016x%016x', uid_high, uid_low), phash"
        " FROM pictures ORDER BY id"
    ).fetchall()
    facts = [SHARDS["a"][0], SHARDS["a"][2], SHARDS["c"][2]]
    assert pictures == [
        (place, one["image_id"], one["uid"], one["phash"])
        for place, one in zip((0, 2, 5), facts, strict=True)
    ]
    names = ["Z", "a", "z", "é"]  # as texts are ordered, wherever they were met first
    entities = database.execute("SELECT entity, entity_id FROM entities ORDER BY entity").fetchall()
    assert entities == list(enumerate(names))
    tags = database.execute(
        "SELECT id, entity_id, score FROM tags JOIN entities USING (entity) ORDER BY id, entity"
    ).fetchall()
    told = [(0, "z", 0.3), (2, "a", 0.4), (2, "é", 0.5), (5, "Z", 0.5), (5, "z", 0.4)]
    assert tags == [(place, name, np.float32(score)) for place, name, score in told]


def test_without_requiring_entities_what_has_none_enters(
    database: duckdb.DuckDBPyConnection, store: Store
) -> None:
    made = loaded(database, store, require_entities=False)
    assert made.fates.counts() == {"kept": 4, "text_region": 1, "too_small": 1}
    row = database.execute("SELECT count(*), count(DISTINCT id) FROM tags").fetchone()
    assert row == (5, 3)


def test_scores_and_texts_are_counted_over_the_whole_pool(
    database: duckdb.DuckDBPyConnection, store: Store
) -> None:
    scores = np.array([0.1, 0.31, -1.0], np.float32)
    facts = [
        fact("1", candidates=[109, 131], with_text=True, text_dependent=True, masked_score=0.1),
        fact("2", candidates=[0], text_dependent=False, large_text=True, status="too_small"),
        fact("3", with_text=True, large_text=True),
        fact("4", large_text=True),
    ]
    made = load_facts(database, store, version(store, {"a": facts}), RowDecisions(0.3))
    assert np.flatnonzero(made.histograms.entities).tolist() == [0, 109, 131]
    assert made.histograms.masked.tolist() == histogram(scores[:1]).tolist()
    assert made.texts == {
        "large_text": 2, "with_text": 2, "text_dependent": 1, "text_dependent_known": 2
    }  # fmt: skip


def test_a_table_of_another_length_than_its_entry_is_named(
    database: duckdb.DuckDBPyConnection, store: Store
) -> None:
    facts = version(store, SHARDS)
    store.put("tables/dataset_facts/c.parquet", to_parquet(from_rows(SHARDS["a"][:1], FACTS)))
    with pytest.raises(InputError, match=r"shard 'c': .*c.parquet has 1 rows and its entry 3"):
        load_facts(database, store, facts, RowDecisions(0.3))


def test_an_id_that_is_no_hash_is_named(database: duckdb.DuckDBPyConnection, store: Store) -> None:
    odd = version(store, {"a": [fact("1", ("z", 0.5, 1.0), image_id="1234")]})
    with pytest.raises(InputError, match="shard 'a': a uid or an image id is not of 32 hex digits"):
        load_facts(database, store, odd, RowDecisions(0.3))


def test_labels_are_cut_by_shard_wherever_blocks_end(
    root: Path, knowledge_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("peru", "chad", "lagos", "norway")
    shards = {
        "a": [labelled(n, *((one, 0.4 + n / 50) for one in names[: n % 5])) for n in range(9)],
        "b": [labelled(20)],  # no label at all
        "c": [labelled(30 + n, ("peru", 0.4), ("chad", 0.4)) for n in range(3)],
    }
    pool = write_pool(root, shards)
    digests = set()
    for seed, rows in enumerate((1, 2, 3, 2048, 1_000_000)):
        monkeypatch.setattr(rules, "_ROWS", rows)
        made = assemble(pool, knowledge_base, require_entities=False, seed=seed)
        assert made.content["totals"]["labels"] == 16 + 6
        digests.add(made.content["content_digest"])
    assert len(digests) == 1
