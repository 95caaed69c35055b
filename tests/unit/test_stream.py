"""Scope: openmofi.stream: stages that cut their work across shards."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from openmofi.errors import ShardError, StorageError
from openmofi.stage import ShardInput, StageOutput, run_stage
from openmofi.storage import FolderStore, Store, open_store
from openmofi.stream import ahead
from openmofi.versions import read_table_version
from openmofi.work import Work


@dataclass
class Letters:
    """Makes one row of a shard's name; fails for the names that a test says."""

    bad: Sequence[str] = ()
    taken: list[str] = field(default_factory=list)
    name: str = "letters"
    version: int = 1

    def semantic_config(self) -> Mapping[str, Any]:
        return {}

    def digests(self) -> Mapping[str, str]:
        return {}

    def setup(self) -> None:
        self.taken.append("setup")

    def stream(
        self, shards: Sequence[ShardInput]
    ) -> Iterator[tuple[ShardInput, StageOutput | str]]:
        for shard in shards:
            self.taken.append(shard.shard)
            if shard.shard in self.bad:
                yield shard, "has no letters"
            else:
                yield shard, StageOutput(pa.table({"name": [shard.shard]}), {"ok": 1})


class Slow(FolderStore):
    """Takes its time for tables, and refuses one shard's."""

    def __init__(self, folder: Path, refused: str = "") -> None:
        super().__init__(folder)
        self._refused = refused
        self.writing: set[str] = set()

    def put(self, key: str, data: bytes) -> None:
        if key.startswith("tables/letters/"):
            self.writing.add(threading.current_thread().name)
            time.sleep(0.02)
            if key.endswith(".parquet") and self._refused and self._refused.encode() in data:
                raise StorageError("the bucket is full")
        super().put(key, data)


def work(*names: str) -> list[Work]:
    return [Work(name, (name,)) for name in names]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def test_each_shard_has_its_table(store: Store) -> None:
    _, version = read_table_version(run_stage(Letters(), store, work(*"cab")), "letters")
    assert [entry.shard for entry in version.shards] == ["a", "b", "c"]
    assert version.counts == {"ok": 3}


def test_what_is_done_is_not_given_to_the_stage_again(store: Store) -> None:
    run_stage(Letters(), store, work(*"ab"))
    again = Letters()
    run_stage(again, store, work(*"abc"))
    assert again.taken == ["setup", "c"]
    nothing = Letters()
    run_stage(nothing, store, work(*"abc"))
    assert nothing.taken == []


def test_a_failed_shard_is_named_and_the_others_are_done(store: Store) -> None:
    with pytest.raises(ShardError, match="shard 'b' failed: has no letters; 2 of 3 shards"):
        run_stage(Letters(bad="b"), store, work(*"abc"))
    mended = Letters()
    run_stage(mended, store, work(*"abc"))
    assert mended.taken == ["setup", "b"]


def test_tables_are_written_beside_the_work(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    run_stage(Letters(), slow, work(*"abcdef"))
    assert threading.current_thread().name not in slow.writing


def test_a_table_that_cannot_be_written_fails_its_shard(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="shard 'bb' failed: the bucket is full; 5 of 6"):
        run_stage(Letters(), Slow(tmp_path, refused="bb"), work("a", "bb", *"cdef"))


def test_no_more_tables_wait_than_a_few(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    stage, seen = Letters(), []

    class Counting(FolderStore):
        def put(self, key: str, data: bytes) -> None:
            if key.endswith(".json") and key.startswith("tables/"):
                seen.append(len(stage.taken) - 1 - len(seen))
            slow.put(key, data)

    run_stage(stage, Counting(tmp_path), work(*(f"{n:02d}" for n in range(30))))
    assert len(seen) == 30
    assert max(seen) <= 6  # taken and not yet written


# One ahead


def test_results_come_in_order() -> None:
    assert list(ahead(lambda n: n * n, range(5))) == [0, 1, 4, 9, 16]
    assert list(ahead(str, [])) == []


def test_the_next_item_is_under_way_and_no_further_one() -> None:
    begun: list[int] = []
    results = ahead(lambda n: begun.append(n) or n, range(5))
    next(results)
    deadline = time.monotonic() + 5
    while len(begun) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert begun == [0, 1]
    results.close()
