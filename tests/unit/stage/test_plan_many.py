"""Planning over many shards: indices are read instead of entries, and say the same."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import openmofi.stage as stage_module
from openmofi.stage import Plan, plan, run_stage
from openmofi.storage import FolderStore, Store
from openmofi.versions import ShardEntry
from openmofi.work import Work
from support.stages import Multiply, Options, numbers, read

SHARDS = 230


class Counting(FolderStore):
    """Notes what is read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def get(self, key: str) -> bytes:
        self.read.append(key)
        return super().get(key)

    def reads(self, ending: str) -> int:
        return sum(key.endswith(ending) for key in self.read)


@pytest.fixture
def done(tmp_path: Path) -> Counting:
    """A store with `SHARDS` shards done in one run."""
    store = Counting(tmp_path / "root")
    run_stage(Multiply(), store, numbers(SHARDS))
    store.read.clear()
    return store


def entry_paths(store: Counting) -> list[Path]:
    return [store._path(one.key) for one in store.list("tables/") if one.key.endswith(".json")]


def one_by_one(store: Counting) -> list[ShardEntry]:
    """All entries, as they stand under their keys."""
    entries = []
    for path in entry_paths(store):
        body = json.loads(path.read_text())
        body.pop("seconds")
        entries.append(ShardEntry(**body))
    return sorted(entries, key=lambda entry: entry.shard)


def planned(store: Counting, shards: int = SHARDS) -> Plan:
    store.read.clear()
    return plan(Multiply(), store, numbers(shards))


def test_an_index_stands_for_the_entries(done: Counting) -> None:
    found = planned(done)
    assert list(found.done) == one_by_one(done)
    assert not found.todo
    assert done.reads(".parquet") == 1
    assert done.reads(".json") <= 100  # for the seconds


def test_what_no_index_holds_is_read_alone(done: Counting) -> None:
    # More shards were done by a run that was killed before it could write its index.
    run_stage(Multiply(), done, numbers(SHARDS + 50))
    newest = max(done.list("manifests/multiply/"), key=lambda one: one.modified)
    assert newest.key.endswith(".json")
    done.delete(newest.key)
    done.delete(newest.key.replace(".json", ".parquet"))
    found = planned(done, SHARDS + 60)
    assert list(found.done) == one_by_one(done)
    assert len(found.todo) == 10
    assert 50 <= done.reads(".json") <= 150


def test_older_indices_fill_in_what_the_newest_lacks(done: Counting) -> None:
    shards = numbers(SHARDS + 20)
    run_stage(Multiply(), done, shards[SHARDS:])
    found = planned(done, SHARDS + 20)
    assert list(found.done) == one_by_one(done)
    assert done.reads(".parquet") == 2
    assert done.reads(".json") <= 100


def test_the_newest_index_is_read_first_and_no_more_than_needed(done: Counting) -> None:
    run_stage(Multiply(), done, numbers(SHARDS + 20))
    found = planned(done, SHARDS + 20)
    assert list(found.done) == one_by_one(done)
    assert done.reads(".parquet") == 1


def test_an_entry_written_after_the_index_counts(done: Counting) -> None:
    for path in entry_paths(done):
        body = {**json.loads(path.read_text()), "content_digest": "anew"}
        path.write_text(json.dumps(body))
        os.utime(path, (4e9, 4e9))
    assert {entry.content_digest for entry in planned(done).done} == {"anew"}


def test_what_has_no_entry_is_to_do_whatever_an_index_says(done: Counting) -> None:
    for path in entry_paths(done)[::2]:
        path.unlink()
    found = planned(done)
    assert list(found.done) == one_by_one(done)
    assert len(found.todo) == SHARDS // 2


def test_damaged_indices_are_passed_over(done: Counting) -> None:
    for info in done.list("manifests/multiply/"):
        if info.key.endswith(".parquet"):
            done.put(info.key, b"PAR1 cut short")
    found = planned(done)
    assert list(found.done) == one_by_one(done)
    assert done.reads(".json") == SHARDS


def test_few_shards_need_no_index(tmp_path: Path) -> None:
    store = Counting(tmp_path / "root")
    run_stage(Multiply(), store, numbers(20))
    assert len(planned(store, 20).done) == 20
    assert store.reads(".parquet") == 0


def test_equal_content_under_two_names_is_done_for_both(done: Counting) -> None:
    twin = replace(numbers(1)[0], shard="twin")
    done.read.clear()
    found = plan(Multiply(), done, [*numbers(SHARDS), twin])
    assert [entry.shard for entry in found.done] == [*(w.shard for w in numbers(SHARDS)), "twin"]
    assert found.done[-1].recipe_key == found.done[0].recipe_key


def test_the_rate_is_that_of_shards_over_the_whole_range(done: Counting) -> None:
    work = numbers(SHARDS)
    sizes = {entry.shard: one.bytes for entry, one in zip(one_by_one(done), work, strict=True)}
    for path in entry_paths(done):
        body = json.loads(path.read_text())
        path.write_text(json.dumps({**body, "seconds": 0.25 * sizes[body["shard"]]}))
        os.utime(path, (1e9, 1e9))
    assert planned(done).seconds_per_byte == pytest.approx(0.25)
    assert done.reads(".json") <= 100


def test_another_recipe_finds_nothing_in_the_index(done: Counting) -> None:
    found = plan(Multiply(Options(factor=3)), done, numbers(SHARDS))
    assert not found.done
    assert len(found.todo) == SHARDS


def test_a_run_over_reused_shards_publishes_the_same_table(done: Counting) -> None:
    before = {one.key for one in done.list("manifests/")}
    uri = run_stage(Multiply(), done, numbers(SHARDS))
    assert list(read(uri).shards) == one_by_one(done)
    assert {one.key for one in done.list("manifests/")} == before


@pytest.mark.parametrize(("per_byte", "expected"), [(None, 4), (0.01, 4), (0.0001, 1)])
def test_processes_start_only_for_what_takes_longer_than_starting_them(
    per_byte: float | None, expected: int
) -> None:
    """1,000 bytes are left: nobody knows how long, 10 s, 0.1 s."""
    left = tuple((Work(f"{i}", (), bytes=500), f"key {i}") for i in range(2))
    assert Plan(left, (), per_byte).worthwhile(4) == expected


def test_a_little_growth_is_done_in_this_process(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    real = stage_module.run_in_processes

    def watched(job: Any, items: Any, workers: int) -> Any:
        started.append(workers)
        return real(job, items, workers)

    monkeypatch.setattr(stage_module, "run_in_processes", watched)
    run_stage(Multiply(), folder_store, numbers(3), workers=2)
    assert started == [2]
    run_stage(Multiply(), folder_store, numbers(6), workers=2)
    assert started == [2]
