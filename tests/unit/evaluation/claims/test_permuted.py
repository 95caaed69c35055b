"""The random-label arm: the same pictures and as many of each label, dealt out anew."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.claims.permuted import dealt_out, permute_labels
from openmofi.dataset.training_shards import build_shards
from openmofi.dataset.versions.verify import verify
from openmofi.dataset.versions.version import KEPT, read_dataset
from openmofi.entities.build import build_knowledge_base
from support.exports import write_shards


def kept(first: int, rows: int) -> pa.Table:
    """Each picture's label is its number; every tenth is for validation and has two."""
    numbers = range(first, first + rows)
    return pa.table(
        {
            "row": list(numbers),
            "uid": [f"u{n}" for n in numbers],
            "split": ["validation" if n % 10 == 0 else "train" for n in numbers],
            "labels": [[n, n + 1000] if n % 10 == 0 else [n] for n in numbers],
        },
        schema=KEPT,
    )


TABLES = [kept(0, 60), kept(60, 1), kept(61, 39)]


def labels_by_split(tables: list[pa.Table]) -> dict[str, Counter[tuple[int, ...]]]:
    found: dict[str, Counter[tuple[int, ...]]] = {}
    for row in pa.concat_tables(tables).to_pylist():
        found.setdefault(row["split"], Counter())[tuple(row["labels"])] += 1
    return found


def test_each_split_keeps_its_labels() -> None:
    assert labels_by_split(dealt_out(TABLES, 0)) == labels_by_split(TABLES)


def test_pictures_stay_where_they_are_and_few_keep_their_label() -> None:
    permuted = dealt_out(TABLES, 0)
    for before, after in zip(TABLES, permuted, strict=True):
        assert after.drop_columns("labels").equals(before.drop_columns("labels"))
        assert after.schema.equals(before.schema)
    rows = pa.concat_tables(permuted).to_pylist()
    assert sum(row["labels"][0] == row["row"] for row in rows) < 10  # one a split is expected


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_deals_alike(seed: int) -> None:
    assert dealt_out(TABLES, seed) == dealt_out(TABLES, seed)
    assert dealt_out(TABLES, seed) != dealt_out(TABLES, seed + 1)


def test_the_version_made_of_them_is_one_like_any(tmp_path: Path) -> None:
    listed = tmp_path / "kb.csv"
    lines = [f"{one},{one.title()},," for one in ("lagos", "norway", "peru", "chad")]
    listed.write_text("\n".join(["entity_id,name,aliases,description", *lines]) + "\n")
    root = tmp_path / "root"
    knowledge_base = build_knowledge_base(root.as_uri(), csv=str(listed))
    before = read_dataset(write_shards(root, knowledge_base).content["dataset_uri"])
    uri = permute_labels(before.uri)
    after = read_dataset(uri)
    old, new = ([one.kept(shard) for shard in one.shards] for one in (before, after))
    assert labels_by_split(new) == labels_by_split(old)
    assert [t.drop_columns("labels") for t in new] == [t.drop_columns("labels") for t in old]
    assert after.content["content_digest"] != before.content["content_digest"]
    assert not any("checksum" in one.what for one in verify(uri).problems)
    assert permute_labels(before.uri) == uri
    assert build_shards(uri).endswith(".json")
