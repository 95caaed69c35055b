"""Which entities and pictures are shown."""

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from openmofi.dataset.card import choose
from openmofi.records import VOCABULARY, from_rows


def vocabulary(images: list[int]) -> pa.Table:
    rows = [
        {"class_index": i, "entity_id": f"e{i}", "name": "n", "description": "", "images": n}
        for i, n in enumerate(images)
    ]
    return from_rows(rows, VOCABULARY)


def test_entities_are_ranked_by_images_then_class() -> None:
    found = choose.ranked_entities(vocabulary([3, 9, 0, 9]), 10)
    assert found["class_index"].to_pylist() == [1, 3, 0, 2]
    assert choose.ranked_entities(vocabulary([]), 10).num_rows == 0


def test_of_many_entities_the_largest_the_smallest_and_some_between_are_shown() -> None:
    images = list(range(1000, 0, -1))
    found = choose.ranked_entities(vocabulary(images), 40)["class_index"].to_pylist()
    assert len(found) == len(set(found)) == 40
    assert found == sorted(found)
    assert found[:20] == list(range(20))
    assert found[-10:] == list(range(990, 1000))
    assert np.diff(found[19:31]).max() <= 110


@pytest.mark.parametrize("pictures", [0, 1, 7, 100, 1200, 10**6])
@pytest.mark.parametrize("entities", [0, 1, 5, 96, 2000])
def test_sheets_shrink_by_rank_and_never_exceed_the_sum(entities: int, pictures: int) -> None:
    sizes = choose.sheet_sizes([1000] * entities, pictures)
    assert len(sizes) == entities
    assert sum(sizes) <= pictures
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes, default=0) <= choose.SHEET
    if entities * choose.SHEET <= pictures:
        assert set(sizes) <= {choose.SHEET}
    elif pictures >= 100:
        assert sum(sizes) >= 0.8 * pictures


def test_an_entity_takes_no_more_room_than_it_has_images() -> None:
    assert choose.sheet_sizes([50, 3, 1, 0], 100) == [12, 3, 1, 1]


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute(
            "CREATE TABLE samples AS SELECT i AS id, (i // 10)::INT AS shard, (i % 10)::INT AS row,"
            " md5_number_lower('u' || i) AS mark, CASE WHEN i % 3 = 0 THEN 'gone' END AS cause "
            "FROM range(2000) t(i)"
        )
        made.execute(
            "CREATE TABLE labels AS SELECT id, e AS entity_id, (id % 7) / 10::FLOAT AS score "
            "FROM samples, (VALUES ('a'), ('b')) v(e) WHERE cause IS NULL AND (e = 'a' OR id < 9)"
        )
        yield made


def test_samples_of_a_cause_are_of_that_cause(database: duckdb.DuckDBPyConnection) -> None:
    gone = choose.samples_of_cause(database, "gone", 8)
    assert len(gone) == 8
    assert all(one.id % 3 == 0 and one.id == 10 * one.shard + one.row for one in gone)
    kept = choose.samples_of_cause(database, "kept", 24)
    assert len(kept) == 24
    assert all(one.id % 3 for one in kept)
    assert choose.samples_of_cause(database, "'; DROP TABLE samples; --", 8) == []
    assert gone == choose.samples_of_cause(database, "gone", 8)


def test_a_large_pool_is_sampled_from_few_shards(database: duckdb.DuckDBPyConnection) -> None:
    found = choose.samples_of_cause(database, "kept", 24)  # of 200 shards, each of 6 or 7
    assert len({one.shard for one in found}) <= 4
    database.execute("DELETE FROM samples WHERE shard >= 64")
    assert len({one.shard for one in choose.samples_of_cause(database, "kept", 24)}) > 10


def test_samples_of_entities_carry_them(database: duckdb.DuckDBPyConnection) -> None:
    found = choose.samples_of_entities(database, {"a": 12, "b": 12, "c": 3})
    assert [len(found[one]) for one in "abc"] == [12, 6, 0]
    assert {one.id for one in found["b"]} == {1, 2, 4, 5, 7, 8}
    # Fewer are the first of more, so that a coarser page needs no other pictures.
    assert choose.samples_of_entities(database, {"a": 5})["a"] == found["a"][:5]


def test_labels_come_best_first(database: duckdb.DuckDBPyConnection) -> None:
    labels = choose.labels_of(database, [8, 1, 3])
    assert labels == {
        1: [("a", pytest.approx(0.1)), ("b", pytest.approx(0.1))],
        3: [],
        8: [("a", pytest.approx(0.1)), ("b", pytest.approx(0.1))],
    }
