"""Compaction as a run: what it records, that it is done once, and that kills change nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.dataset.takedown.compact import compact, compact_store
from openmofi.dataset.takedown.forget import forget
from openmofi.dataset.takedown.rewriting import digest_of
from openmofi.errors import StorageError
from openmofi.storage import FolderStore, open_store
from support.takedowns import (
    TAKEN,
    Filled,
    alt_text,
    copy_of,
    everything,
    picture,
    traces,
    url,
)


def test_the_record_names_every_object_with_its_digests(filled: Filled) -> None:
    before = everything(filled.root)
    done = compact(str(filled.root))
    after = everything(filled.root)
    record = json.loads(after[done.record])
    changed = {key for key in before if after.get(key) != before[key]}
    new = {key for key in after.keys() - before.keys() if key.startswith("training_shards/")}
    assert set(record["objects"]) == changed | new
    for key, one in record["objects"].items():
        assert one["after"] == digest_of(filled.store, key)
        assert (one["before"] == "") == (key not in before)
        assert one["before"] != one["after"]
    assert len(record["tombstones"]) == 32


def test_a_second_one_finds_nothing_to_do(filled: Filled) -> None:
    done = compact(str(filled.root))
    after = everything(filled.root)
    again = compact(str(filled.root))
    assert everything(filled.root) == after
    counts = (again.pool_shards, again.tables, again.training_shards, again.cards, again.bytes)
    assert counts == (0, 0, 0, 0, 0)
    assert again.record == ""
    assert done.bytes > len(picture(TAKEN)) + len(alt_text(TAKEN))


def test_a_dry_run_tells_the_same_and_writes_nothing(filled: Filled) -> None:
    before = everything(filled.root)
    planned = compact(str(filled.root), dry_run=True)
    assert everything(filled.root) == before
    done = compact(str(filled.root))
    assert planned.record == ""
    assert vars(planned) == {**vars(done), "record": ""}


class Dying(FolderStore):
    """A store that breaks at one write, before or after it."""

    def __init__(self, folder: Path, writes: int, *, late: bool = False) -> None:
        super().__init__(folder)
        self.left, self.late = writes, late

    def _one(self, write: Callable[[], None]) -> None:
        self.left -= 1
        if self.left < 0 and not self.late:
            raise StorageError("killed")
        write()
        if self.left < 0:
            raise StorageError("killed")

    def put(self, key: str, data: bytes) -> None:
        self._one(lambda: super(Dying, self).put(key, data))

    def put_file(self, key: str, path: Path) -> None:
        self._one(lambda: super(Dying, self).put_file(key, path))

    def delete(self, key: str) -> None:
        self._one(lambda: super(Dying, self).delete(key))


def test_killed_at_any_write_and_run_again_it_ends_the_same(filled: Filled, tmp_path: Path) -> None:
    counting = Dying(copy_of(filled, tmp_path / "whole").root, 10_000)
    compact_store(counting)
    writes, expected = 10_000 - counting.left, everything(tmp_path / "whole")
    assert writes > 30
    for number in range(writes):
        root = copy_of(filled, tmp_path / f"killed-{number}").root
        with pytest.raises(StorageError, match="killed"):
            compact_store(Dying(root, number))
        compact_store(FolderStore(root))
        assert everything(root) == expected, f"killed before write {number}"
        shutil.rmtree(root)


def test_a_list_that_came_after_a_kill_is_honoured_with_the_first(
    filled: Filled, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="killed"):
        compact_store(Dying(filled.root, 8))
    forget(str(filled.root), urls=[url(8)])
    compact(str(filled.root))
    assert traces(filled.store, TAKEN) == traces(filled.store, 8) == []
    (record,) = filled.store.list("compactions/")
    assert len(json.loads(filled.store.get(record.key))["objects"]) > 30
    assert not list(filled.store.list("compacting/"))


@pytest.mark.s3
def test_on_s3_it_ends_the_same(filled: Filled, s3_root: str) -> None:
    remote = open_store(s3_root)
    for key, data in everything(filled.root).items():
        remote.put(key, data)
    compact_store(remote)
    compact_store(filled.store)
    assert {one.key: remote.get(one.key) for one in remote.list()} == everything(filled.root)
