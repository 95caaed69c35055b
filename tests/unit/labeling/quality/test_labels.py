"""Labels from a file and from a store's tables are one and the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi.errors import InputError
from openmofi.labeling.quality.labels import read_label_file, read_label_tables
from openmofi.versions import read_table_version, write_table_version
from support.label_quality import MADE_WITH, label, write_labels
from support.tables import Candidate, Pair, labelled, noise_jpeg, write_pool

ROWS = [label("a", "cat", 0.3), label("a", "dog", 0.1, settled=False), label("b", "cat", 0.2)]


def rows_of(labels: Any) -> list[tuple[str, str, str]]:
    return [tuple(row.values())[:3] for row in labels.table.to_pylist()]


def test_a_file_gives_its_settled_labels_and_what_made_them(tmp_path: Path) -> None:
    labels = read_label_file(write_labels(tmp_path / "l.parquet", ROWS))
    assert rows_of(labels) == [("00000", "a", "cat"), ("00000", "b", "cat")]
    assert labels.made_with == MADE_WITH


def test_a_foreign_file_needs_neither_settled_nor_metadata(tmp_path: Path) -> None:
    names = ("shard", "key", "entity_id", "clip_score")
    table = pa.table({name: [row[name] for row in ROWS] for name in names})
    pq.write_table(table, tmp_path / "l.parquet")
    labels = read_label_file(tmp_path / "l.parquet")
    assert len(rows_of(labels)) == 3
    assert labels.made_with == {}


def test_a_stores_tables_give_the_settled_labels_by_key(tmp_path: Path) -> None:
    rival = Pair(
        noise_jpeg(3), mentions=[[Candidate("x", 0.2), Candidate("y", 0.3, settled=False)]]
    )
    pool = write_pool(tmp_path, {"s0": [labelled(1), labelled(2, ("cat", 0.5))], "s1": [rival]})
    labels, _, work = read_label_tables(pool.entity_scores, pool.samples)
    assert rows_of(labels) == [("s0", "00001", "cat"), ("s1", "00000", "x")]
    assert list(work) == ["s0", "s1"]
    assert labels.made_with.keys() == {"content", "label"}


def test_only_the_shards_asked_for_are_read(tmp_path: Path) -> None:
    shards = {name: [labelled(1, ("cat", 0.5))] for name in ("s0", "s1")}
    pool = write_pool(tmp_path, shards)
    labels, _, work = read_label_tables(pool.entity_scores, pool.samples, {"s1"})
    assert rows_of(labels) == [("s1", "00000", "cat")]
    assert list(work) == ["s1"]


def in_groups(uri: str, kind: str) -> list[str]:
    """The same tables, as a pipeline leaves them that makes each shard in a group of its own."""
    store, version = read_table_version(uri, kind)
    return [write_table_version(store, replace(version, shards=(one,))) for one in version.shards]


def test_groups_of_one_run_are_read_as_one(tmp_path: Path) -> None:
    shards = {f"s{one}": [labelled(one, (f"s{one}", 0.5))] for one in (0, 1)}
    pool = write_pool(tmp_path, shards)
    scores = in_groups(pool.entity_scores[0], "entity_scores")
    samples = in_groups(pool.samples[0], "samples")
    assert len(scores) == len(samples) == 2
    labels, _, work = read_label_tables(scores, samples)
    assert rows_of(labels) == [("s0", "00000", "s0"), ("s1", "00000", "s1")]
    assert list(work) == ["s0", "s1"]


def test_tables_without_a_settled_label_are_refused(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, {"s0": [labelled(1)]})
    with pytest.raises(InputError, match="holds no settled label"):
        read_label_tables(pool.entity_scores, pool.samples)


def test_scores_of_other_samples_are_refused(tmp_path: Path) -> None:
    scores = write_pool(tmp_path, {"s0": [labelled(1), labelled(2, ("cat", 0.5))]}).entity_scores
    samples = write_pool(tmp_path, {"s0": [labelled(1)]}).samples
    with pytest.raises(InputError, match="shard 's0': entity_scores name row 1 of 1 samples"):
        read_label_tables(scores, samples)


def test_tables_of_two_roots_are_refused(tmp_path: Path) -> None:
    pools = [write_pool(tmp_path / n, {"s0": [labelled(1, ("cat", 0.5))]}) for n in "ab"]
    with pytest.raises(InputError, match="use one root"):
        read_label_tables(pools[0].entity_scores, pools[1].samples)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip_score": 1.5}, r"sample '00000/a' has clip_score 1.5; a cosine lies between"),
        ({"clip_score": float("nan")}, "sample '00000/a' has clip_score nan"),
        ({"key": None}, "the column 'key' has nulls"),
        ({"shard": 3}, "the column 'shard' must hold strings, not int64"),
        ({"settled": "yes"}, "the column 'settled' must hold true or false, not string"),
        ({"settled": False}, "holds no settled label"),
    ],
)
def test_a_bad_column_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write_labels(tmp_path / "l.parquet", [{**ROWS[0], **change}])
    with pytest.raises(InputError, match=message):
        read_label_file(path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"shard": ["0"], "key": ["a"]}), tmp_path / "l.parquet")
    with pytest.raises(InputError, match="lacks the columns entity_id, clip_score; --labels takes"):
        read_label_file(tmp_path / "l.parquet")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "l.parquet", ROWS, {"kind": "mentions"})
    with pytest.raises(InputError, match="holds no labels: its metadata say so"):
        read_label_file(path)


def test_what_is_no_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "l.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"is no readable Parquet file: [^\n]*$"):
        read_label_file(tmp_path / "l.parquet")
    with pytest.raises(InputError, match="labels file not found"):
        read_label_file(tmp_path / "nothing")
