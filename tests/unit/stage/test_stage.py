"""Scope: openmofi.stage: planning, skipping, workers, and what comes out."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from openmofi.keys import content_digest
from openmofi.records import from_parquet
from openmofi.shards import write_tar
from openmofi.stage import describe_counts, plan, run_stage
from openmofi.storage import Store, open_store
from openmofi.versions import TableVersion
from openmofi.work import Work, align
from support.stages import (
    AddUp,
    CountBytes,
    Multiply,
    Options,
    everything,
    number_shard,
    numbers,
    processed,
    read,
)

# Done once


def test_a_finished_shard_is_skipped_and_said_to_be(
    store: Store, diary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Multiply(Options(diary=str(diary)))
    first = run_stage(stage, store, numbers())
    assert len(processed(diary)) == 6
    assert "multiply: 6 shards, 0 reused, 6 to do" in capsys.readouterr().err
    before = everything(store)
    assert run_stage(stage, store, numbers()) == first
    assert processed(diary) == []
    assert "multiply: 6 shards, 6 reused, 0 to do" in capsys.readouterr().err
    assert everything(store) == before


def test_a_run_with_nothing_to_do_sets_nothing_up(folder_store: Store, diary: Path) -> None:
    run_stage(Multiply(), folder_store, numbers())
    run_stage(Multiply(Options(diary=str(diary))), folder_store, numbers(), workers=2)
    assert list(diary.iterdir()) == []


def test_growth_costs_only_the_new_shards(store: Store, diary: Path) -> None:
    stage = Multiply(Options(diary=str(diary)))
    run_stage(stage, store, numbers(3))
    processed(diary)
    uri = run_stage(stage, store, numbers(5))
    assert processed(diary) == ["00003", "00004"]
    assert [entry.shard for entry in read(uri).shards] == [f"{i:05d}" for i in range(5)]


@pytest.mark.parametrize(
    "changed",
    [Multiply(Options(factor=3)), Multiply(version=2)],
    ids=["config", "version"],
)
def test_a_changed_recipe_never_mixes_with_old_output(
    folder_store: Store, changed: Multiply
) -> None:
    old = read(run_stage(Multiply(), folder_store, numbers()))
    new = read(run_stage(changed, folder_store, numbers()))
    keys = {entry.table_key for entry in old.shards} | {entry.table_key for entry in new.shards}
    assert len(keys) == 12
    assert read(run_stage(Multiply(), folder_store, numbers())) == old


def test_options_that_cannot_change_the_result_change_no_key(
    folder_store: Store, diary: Path
) -> None:
    first = run_stage(Multiply(), folder_store, numbers())
    slow = Multiply(Options(pause=0.001, workers=7, diary=str(diary)))
    assert run_stage(slow, folder_store, numbers()) == first
    assert processed(diary) == []


def test_the_same_content_under_another_name_is_not_done_again(
    folder_store: Store, diary: Path
) -> None:
    stage = Multiply(Options(diary=str(diary)))
    run_stage(stage, folder_store, numbers(2))
    processed(diary)
    copies = [replace(one, shard=f"copy-{one.shard}") for one in numbers(2)]
    version = read(run_stage(stage, folder_store, copies))
    assert processed(diary) == []
    assert [entry.shard for entry in version.shards] == ["copy-00000", "copy-00001"]


def test_two_names_for_one_content_in_one_run(folder_store: Store) -> None:
    twin = replace(number_shard(0), shard="twin")
    version = read(run_stage(Multiply(), folder_store, [number_shard(0), twin]))
    assert [entry.shard for entry in version.shards] == ["00000", "twin"]
    assert len({entry.content_digest for entry in version.shards}) == 1


# What comes out


def test_an_entry_names_a_table_with_its_digest_and_rows(store: Store) -> None:
    version = read(run_stage(Multiply(), store, numbers()))
    for entry in version.shards:
        table = from_parquet(store.get(entry.table_key))
        assert table.num_rows == entry.rows
        assert content_digest(table) == entry.content_digest
        assert sum(entry.counts.values()) == entry.rows


def test_counts_add_up_over_shards(folder_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    work = numbers()
    version = read(run_stage(Multiply(), folder_store, work))
    values = [number for one in work for number in one.source]
    refused = sum(number < 0 for number in values)
    assert version.counts == {"ok": len(values) - refused, "too_small": refused}
    assert version.totals == {"parts": sum(n % 3 for n in values if n >= 0)}
    line = f"multiply: seen {len(values)} = ok {len(values) - refused} + too_small {refused}"
    assert line in capsys.readouterr().err


def test_counts_are_told_in_one_line() -> None:
    assert describe_counts({"ok": 90, "corrupt_image": 10}) == (
        "seen 100 = corrupt_image 10 + ok 90"
    )


def test_one_worker_and_two_make_the_same(store: Store) -> None:
    alone = open_store(f"{store.uri}/alone")
    many = open_store(f"{store.uri}/many")
    one = run_stage(Multiply(), alone, numbers())
    two = run_stage(Multiply(), many, numbers(), workers=2)
    assert read(one) == read(two)
    assert one.removeprefix(alone.uri) == two.removeprefix(many.uri)
    assert everything(alone) == everything(many)


def test_the_order_of_the_work_does_not_matter(folder_store: Store) -> None:
    first = run_stage(Multiply(), folder_store, numbers())
    other = open_store(f"{folder_store.uri}-2")
    second = run_stage(Multiply(), other, list(reversed(numbers())))
    assert read(first) == read(second)


def test_a_stage_reads_the_table_before_it(store: Store) -> None:
    first = read(run_stage(Multiply(), store, numbers(3)))
    version = read(run_stage(AddUp(), store, align({"multiply": first}), workers=2), "add_up")
    sums = [from_parquet(store.get(entry.table_key))["sum"][0].as_py() for entry in version.shards]
    assert sums == [2 * sum(n for n in one.source if n > 0) for one in numbers(3)]


def test_an_upstream_change_makes_the_next_stage_work_again(folder_store: Store) -> None:
    def add_up(factor: int) -> TableVersion:
        first = read(run_stage(Multiply(Options(factor=factor)), folder_store, numbers(2)))
        return read(run_stage(AddUp(), folder_store, align({"multiply": first})), "add_up")

    keys = [{entry.recipe_key for entry in add_up(factor).shards} for factor in (2, 3)]
    assert keys[0].isdisjoint(keys[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stage_reads_pool_tars(store: Store, tmp_path: Path, workers: int) -> None:
    work = []
    for index in range(3):
        samples = [(f"{i}", {"jpg": b"x" * (index + i), "txt": b"t"}) for i in range(4)]
        indexed = write_tar(tmp_path / "t.tar", samples)
        store.put_file(f"pool/{index}.tar", tmp_path / "t.tar")
        work.append(Work(str(index), (str(index),), tar_key=f"pool/{index}.tar", source=indexed))
    version = read(run_stage(CountBytes(), store, work, workers=workers), "count_bytes")
    tables = [from_parquet(store.get(entry.table_key)) for entry in version.shards]
    assert [t["bytes"].to_pylist() for t in tables] == [
        [index + i + 1 for i in range(4)] for index in range(3)
    ]
    assert [entry.tar_key for entry in version.shards] == [f"pool/{i}.tar" for i in range(3)]


def test_aligned_work_carries_every_table_in_the_order_given(folder_store: Store) -> None:
    one = read(run_stage(Multiply(), folder_store, numbers(2)))
    other = read(run_stage(Multiply(Options(factor=3)), folder_store, numbers(2)))
    work = align({"a": one, "b": other})
    assert [w.shard for w in work] == ["00000", "00001"]
    assert work[0].tables == {"a": one.shards[0].table_key, "b": other.shards[0].table_key}
    assert work[0].upstream == (one.shards[0].recipe_key, other.shards[0].recipe_key)
    assert align({"b": other, "a": one})[0].upstream != work[0].upstream


# The plan


def test_a_plan_does_nothing_and_says_what_is_left(folder_store: Store, diary: Path) -> None:
    stage = Multiply(Options(diary=str(diary)))
    before = plan(stage, folder_store, numbers())
    assert (len(before.todo), len(before.done)) == (6, 0)
    assert "6 shards to do" in before.describe("multiply")
    assert "the time is not known" in before.describe("multiply")
    assert list(diary.iterdir()) == []
    assert list(folder_store.list()) == []
    run_stage(Multiply(Options(pause=0.01)), folder_store, numbers(4))
    after = plan(stage, folder_store, numbers())
    assert [work.shard for work, _ in after.todo] == ["00004", "00005"]
    assert re.search(
        r"2 shards to do \(0\.0 MB\), 4 done; about [\d.]+ worker-hours .*, [\d.]+ in cost",
        after.describe("multiply", price_per_hour=2.5),
    )
