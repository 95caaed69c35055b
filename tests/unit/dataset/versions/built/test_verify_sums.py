"""`dataset verify` of a version whose objects are whole, and do not fit each other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from openmofi.dataset.versions.verify import describe, verify
from openmofi.dataset.versions.version import Dataset, DatasetShard, write_index
from openmofi.keys import content_digest
from openmofi.labeling.config import LabelConfig
from openmofi.records import from_parquet, to_parquet
from openmofi.versions import Manifest, read_table_version, write_table_version
from support.assembly import assemble, remade
from support.versions import Built, pool, rewritten

Shards = tuple[DatasetShard, ...]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built.of(tmp_path_factory.mktemp("built"), "ab")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("counts", {"kept": 6, "text_region": 2}, "counts are"),
        ("splits", {"train": 5, "validation": 1}, "splits are"),
        ("shards", 3, "shards are 3"),
        ("totals", {"labels": 9, "entities": 4, "classes": 3}, "totals are"),
    ],
)
def test_counts_that_do_not_add_up_are_told(
    version: Manifest, name: str, value: object, said: str
) -> None:
    report = verify(rewritten(version, **{name: value}))
    assert not report.counts_add_up
    assert [said in one.what for one in report.problems] == [True]
    assert "counts do NOT add up" in next(describe(report))


def test_a_sample_in_two_places_or_none_is_told(version: Manifest) -> None:
    store, shards = version.store, Dataset(version).shards
    kept = from_parquet(store.get(shards[0].kept_key))
    for rows in ([0, 0, *range(2, kept.num_rows)], list(range(1, kept.num_rows))):
        wrong = kept.take(rows)
        store.put(shards[0].kept_key, to_parquet(wrong))
        shard = replace(shards[0], kept_digest=content_digest(wrong))
        write_index(store, f"datasets/{version.digest}", [shard, shards[1]])
        report = verify(rewritten(version))
        assert not report.counts_add_up
        assert any("not its 5 rows, each once" in one.what for one in report.problems)


def test_content_that_the_rows_have_not_is_told(version: Manifest) -> None:
    report = verify(rewritten(version, content_digest="0" * 32))
    (problem,) = report.problems
    assert problem.key == f"manifests/dataset/{version.digest}.json"
    assert f"its rows and classes {version.content['content_digest']}" in problem.what


def test_counts_of_a_stage_that_are_not_its_tables_are_told(version: Manifest) -> None:
    stages = version.content["stages"]
    other = {**stages, "samples": {**stages["samples"], "counts": {"ok": 8}}}
    report = verify(rewritten(version, stages=other))
    assert not report.counts_add_up
    (problem,) = report.problems
    assert problem.what.endswith("the version {'ok': 8}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, b: (replace(a, counts={"kept": 3, "no_entity": 2}), b), "counts {'kept': 3"),
        (lambda a, b: (replace(a, kept=2), b), "shard 'a': counts"),
        (lambda a, b: (replace(a, rows=6), b), "are not its 6 rows, each once"),
        (lambda a, b: (replace(a, samples_key=b.samples_key), b), "its table is not"),
        (lambda a, b: (replace(a, tar_key=b.tar_key), b), "its tar is not"),
        (lambda a, b: (a, replace(b, shard="c")), "has other shards than"),
    ],
)
def test_an_index_that_does_not_fit_is_told(
    version: Manifest, change: Callable[[DatasetShard, DatasetShard], Shards], said: str
) -> None:
    write_index(version.store, f"datasets/{version.digest}", change(*Dataset(version).shards))
    assert any(said in one.what for one in verify(rewritten(version)).problems)


def test_rows_of_a_table_that_are_not_the_samples_are_told(version: Manifest) -> None:
    for kind in ("samples", "text_regions", "image_embeddings"):
        digest = version.content["table_digests"][kind]
        uri = f"{version.store.uri}/manifests/{kind}/{digest}.json"
        store, table = read_table_version(uri, kind)
        first, *others = table.shards
        longer = (replace(first, rows=first.rows + 1), *others)
        assert write_table_version(store, replace(table, shards=longer)) == uri
        report = verify(version.uri)
        assert not report.counts_add_up
        (problem,) = report.problems
        assert problem.key == f"manifests/{kind}/{digest}.parquet"
        assert problem.what == "shard 'a': 6 rows, and 5 samples"
        write_table_version(store, table)


def test_a_stage_that_counts_other_than_samples_is_told(
    version: Manifest, root: Path, knowledge_base: str
) -> None:
    # Scores remade by hand count their rows, of which three pictures have two.
    labels = {"digests": {"model": "m" * 32}, "config": LabelConfig().semantic()}
    made = assemble(remade(pool(root, "a"), "entity_scores", **labels), knowledge_base)
    report = verify(made.uri)
    assert not report.counts_add_up
    assert [one.what for one in report.problems] == [
        "shard 'a': entity_scores counts {'ok': 6}, and 5 samples"
    ]
    assert version.digest != made.digest
