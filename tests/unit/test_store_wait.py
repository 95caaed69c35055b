"""Scope: openmofi.store_wait: what counts as waiting for the store, and where it is told.

Sleeps stand for the store and for work; bounds are wide, since a busy machine sleeps longer.
"""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from openmofi.progress import timed
from openmofi.stage import run_stage
from openmofi.storage import FolderStore, open_store
from openmofi.store_wait import (
    Debts,
    StoreWait,
    apart,
    blocked_on,
    mapped,
    store_wait,
    taken_over,
    waiting,
)
from openmofi.stream import ahead
from openmofi.workers import run_in_processes
from support.stages import Multiply, numbers

CALL_S = 0.05


class SlowStore(FolderStore):
    """Takes its time for every object that is written."""

    @contextlib.contextmanager
    def new_file(self, key: str) -> Iterator[Path]:
        time.sleep(CALL_S)
        with super().new_file(key) as path:
            yield path


def fetch(number: int) -> int:
    with waiting("reads"):
        time.sleep(CALL_S)
    return number


class Fetch:
    """A job of `openmofi.workers`."""

    def setup(self) -> None:
        """Nothing to load."""

    def run(self, item: int) -> tuple[int, StoreWait]:
        return apart(fetch, item)


def test_calls_count_by_kind_in_every_block_around_them(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    with store_wait() as outer:
        with store_wait() as inner:
            store.put("a", b"1")
        fetch(0)
        time.sleep(CALL_S)
    assert inner.writes >= CALL_S > inner.reads == 0
    assert outer.writes == inner.writes
    assert outer.reads >= CALL_S
    assert outer.elapsed >= outer.total + CALL_S
    assert outer.share(2) == pytest.approx(outer.share() / 2)


def test_a_call_outside_of_a_block_or_in_another_thread_counts_for_nobody() -> None:
    fetch(0)
    with store_wait() as waited:
        thread = threading.Thread(target=fetch, args=(0,))
        thread.start()
        thread.join()
    assert waited.total == 0


def test_what_fails_has_waited_too(tmp_path: Path) -> None:
    @waiting("reads")
    def fail() -> None:
        time.sleep(CALL_S)
        raise OSError("gone")

    with store_wait() as waited, pytest.raises(OSError, match="gone"):
        fail()
    assert waited.reads >= CALL_S


def test_what_is_fetched_while_something_else_is_done_is_no_waiting() -> None:
    with store_wait() as waited:
        for _ in ahead(fetch, range(4)):
            time.sleep(4 * CALL_S)
    assert CALL_S / 2 < waited.reads < 2 * CALL_S  # for the first one alone


def test_what_is_fetched_too_slowly_is_waited_for() -> None:
    with store_wait() as waited:
        assert list(ahead(fetch, range(4))) == [0, 1, 2, 3]
    assert waited.reads > 3.5 * CALL_S


def test_waiting_for_a_thread_counts_only_as_far_as_that_waits_for_the_store() -> None:
    def work(number: int) -> int:
        time.sleep(4 * CALL_S)
        return fetch(number)

    with store_wait() as waited, ThreadPoolExecutor(1) as pool:
        assert blocked_on(pool.submit(apart, work, 1)) == 1
    assert CALL_S <= waited.reads < 2 * CALL_S


def test_threads_side_by_side_are_waited_for_once() -> None:
    with store_wait() as waited, ThreadPoolExecutor(4) as pool:
        assert list(mapped(pool, fetch, range(4))) == [0, 1, 2, 3]
    assert CALL_S / 2 < waited.reads < 2 * CALL_S


def test_a_model_comes_from_the_store_while_modules_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from openmofi.labeling import decoding, open_shards
    from openmofi.labeling.config import EmbedConfig
    from openmofi.models import encoder

    manifest = SimpleNamespace(digest="1")
    brought: list[str] = []

    def bring(model: SimpleNamespace) -> None:
        fetch(0)
        brought.append(model.digest)

    monkeypatch.setattr(open_shards, "read_manifest", lambda *_: manifest)
    monkeypatch.setattr(open_shards, "model_folder", bring)
    monkeypatch.setattr(decoding, "start_server", lambda: time.sleep(4 * CALL_S))
    monkeypatch.setattr(encoder, "load_encoder", lambda *_, **__: list(brought))
    with store_wait() as waited:
        assert open_shards.open_encoder("a model", EmbedConfig()) == ["1"]
    assert waited.reads < CALL_S / 2


# Processes that work ahead


def felt(*items: tuple[int, float, float]) -> float:
    """What is felt of items: worker, seconds that it waited, seconds it was waited for."""
    debts = Debts()
    with store_wait() as waited:
        for worker, wait, blocked in items:
            debts.felt(worker, StoreWait(reads=wait), blocked)
    return waited.reads


def test_a_delay_is_felt_as_far_as_its_item_comes_late() -> None:
    assert felt((0, 1.0, 0.25)) == pytest.approx(0.25)
    assert felt((0, 1.0, 3.0)) == pytest.approx(1.0)
    assert felt((0, 1.0, 0.0)) == 0
    assert felt((0, 0.0, 3.0)) == 0


def test_the_rest_of_a_delay_makes_the_same_worker_s_next_item_late() -> None:
    assert felt((0, 1.0, 0.25), (0, 0.0, 0.5)) == pytest.approx(0.75)
    assert felt((0, 1.0, 0.25), (0, 0.0, 5.0)) == pytest.approx(1.0)
    assert felt((0, 1.0, 0.25), (1, 0.0, 0.5)) == pytest.approx(0.25)


def test_a_worker_that_has_caught_up_owes_nothing() -> None:
    assert felt((0, 1.0, 0.25), (0, 0.0, 0.0), (0, 0.0, 5.0)) == pytest.approx(0.25)


# Where it is told


def told(text: str) -> tuple[float, float, float]:
    """Waited, all and the share in percent of a closing line."""
    found = re.search(r"ok \d+.*; waited for the store ([\d.]+) of ([\d.]+) s \(([\d.]+) %;", text)
    assert found, text
    waited, seconds, share = map(float, found.groups())
    return waited, seconds, share


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stage_says_how_long_its_processes_waited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    store = SlowStore(tmp_path / "slow")
    started = time.monotonic()
    run_stage(Multiply(), store, numbers(4), workers=workers)
    wall = time.monotonic() - started
    waited, seconds, share = told(capsys.readouterr().err)
    assert waited + 0.05 >= 8 * CALL_S  # table and entry of each shard
    assert waited <= seconds
    assert seconds <= wall * workers + 0.05  # planning and the manifest are not in it
    assert share == pytest.approx(100 * waited / seconds, abs=25)
    run_stage(Multiply(), store, numbers(4))
    assert "waited" not in capsys.readouterr().err  # nothing was done


def test_results_of_processes_bring_their_waiting_along() -> None:
    with store_wait() as waited:
        found = sorted(taken_over(run_in_processes(Fetch(), range(4), 2)))
    assert [result for _, result in found] == [0, 1, 2, 3]
    assert waited.reads >= 4 * CALL_S


def test_a_step_that_is_timed_says_it_where_it_is_worth_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with timed("assemble: load"):
        fetch(0)
        fetch(1)
    assert ", 0.1 s of it waiting for the store\n" in capsys.readouterr().err


def test_no_table_of_the_store_depends_on_how_long_it_waited(tmp_path: Path) -> None:
    slow, quick = SlowStore(tmp_path / "slow"), open_store(str(tmp_path / "quick"))
    uris = [run_stage(Multiply(), store, numbers(2)) for store in (slow, quick)]
    bodies = [
        {info.key: store.get(info.key) for info in store.list("manifests/")}
        for store in (slow, quick)
    ]
    assert bodies[0] == bodies[1]
    assert uris[0].rpartition("/")[2] == uris[1].rpartition("/")[2]
