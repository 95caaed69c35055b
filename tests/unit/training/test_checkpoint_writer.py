"""Scope: training waits for its store as little as can be, and says how long it does."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from openmofi.errors import StorageError
from openmofi.storage import FolderStore, open_store
from openmofi.store_wait import StoreWait, store_wait, waiting
from openmofi.training.callbacks import CheckpointWriter, ProgressLog, ToldToStop
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.loading import step_loader
from openmofi.training.tars import StoredTar, StreamedTars
from openmofi.versions import read_manifest
from support.linear_training import contrastive, make_batch, make_module, run, supervised
from support.training import RemoteStore, make_samples, write_training_shards
from support.waiting import wait_for

TRAINER = SimpleNamespace(optimizers=[None])


class Slow:
    """Checkpoints whose store answers when a test lets it."""

    def __init__(self, error: str = "") -> None:
        self.gate = threading.Event()
        self.taken: list[int] = []
        self.stored: list[int] = []
        self.error = error

    def prepare(self, module: Any, _: Any) -> Callable[[], None]:
        step = module.step
        self.taken.append(step)

        def store() -> None:
            with waiting("writes"):
                assert self.gate.wait(20)
            if self.error:
                raise StorageError(self.error)
            self.stored.append(step)

        return store


def after_step(writer: CheckpointWriter, step: int, stops: bool = False) -> None:
    writer.on_train_batch_end(TRAINER, SimpleNamespace(step=step, stops=stops), None, None, 0)


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.gate.set()


def writer_of(slow: Slow) -> CheckpointWriter:
    return CheckpointWriter(slow, every=5, last=100)  # type: ignore[arg-type]


def test_training_goes_on_while_a_checkpoint_is_on_its_way(slow: Slow) -> None:
    writer = writer_of(slow)
    with store_wait() as waited:
        for step in range(1, 10):
            after_step(writer, step)
    assert (slow.taken, slow.stored) == ([5], [])
    assert waited.total == 0


def test_the_next_checkpoint_is_taken_when_the_last_one_is_stored(slow: Slow) -> None:
    writer = writer_of(slow)
    after_step(writer, 5)
    opener = threading.Timer(0.2, slow.gate.set)
    opener.start()
    with store_wait() as waited:
        after_step(writer, 10)
    assert slow.taken == [5, 10]
    assert slow.stored[:1] == [5]
    assert waited.writes > 0.1


@pytest.mark.parametrize("end", ["stopped", "done"])
def test_a_run_does_not_end_before_its_checkpoint_is_stored(slow: Slow, end: str) -> None:
    writer = writer_of(slow)
    after_step(writer, 5)
    threading.Timer(0.1, slow.gate.set).start()
    if end == "done":
        writer.on_train_end(TRAINER, None)
        assert slow.stored == [5]
        return
    with pytest.raises(ToldToStop):
        after_step(writer, 7, stops=True)
    assert slow.stored == [5, 7]


def test_a_checkpoint_that_fails_stops_the_run_at_a_step_soon_after() -> None:
    slow = Slow("the store is full")
    writer = writer_of(slow)
    after_step(writer, 5)
    after_step(writer, 6)
    slow.gate.set()

    def fails() -> bool:
        try:
            after_step(writer, 7)
        except StorageError as error:
            return str(error) == "the store is full"
        return False

    wait_for(fails)
    after_step(writer, 8)  # told once


def test_a_checkpoint_is_of_the_step_at_which_it_was_taken(tmp_path: Path) -> None:
    module = make_module([supervised(), contrastive()])
    optimizer = torch.optim.AdamW(module.backbone.parameters())
    expected = {name: value.clone() for name, value in module.backbone.state_dict().items()}
    checkpoints = Checkpoints(open_store(str(tmp_path)), "recipe")
    module.step = 3
    store = checkpoints.prepare(module, optimizer)
    assert not list(open_store(str(tmp_path)).list())
    with torch.no_grad():
        for parameter in module.backbone.parameters():
            parameter.add_(1)
    module.step = 4
    store()
    assert checkpoints.latest() == 3
    module.step = 3
    checkpoints.load(module, optimizer)
    for name, value in module.backbone.state_dict().items():
        assert torch.equal(value, expected[name])


def test_the_index_is_written_last_and_never_for_a_part(tmp_path: Path) -> None:
    written: list[str] = []

    class Watched(FolderStore):
        def put(self, key: str, data: bytes) -> None:
            written.extend(info.key for info in self.list())
            super().put(key, data)

    module = make_module([supervised()])
    optimizer = torch.optim.AdamW(module.backbone.parameters())
    module.step = 3
    Checkpoints(Watched(tmp_path), "recipe").prepare(module, optimizer)()
    assert [key.rpartition("/")[2].split("-")[0] for key in written] == ["supervised", "trunk.pt"]


# How long the training thread waited


class Delayed:
    """Batches that a store delays."""

    def __init__(self, seconds: float) -> None:
        self.images = SimpleNamespace(close=lambda: None)
        self._seconds = seconds

    def __getitem__(self, step: int) -> list[int]:
        with waiting("reads"):
            time.sleep(self._seconds)
        return [step]


@pytest.mark.parametrize("workers", [0, 2])
def test_late_batches_are_waited_for_whoever_makes_them(workers: int) -> None:
    with store_wait() as waited:
        loader = step_loader(Delayed(0.05), range(8), workers=workers)  # type: ignore[arg-type]
        assert list(loader) == [[step] for step in range(8)]
    assert waited.reads > 0.05 * 8 / max(1, workers) / 2


def test_batches_that_are_there_in_time_are_not_waited_for() -> None:
    loader = iter(step_loader(Delayed(0.01), range(6), workers=1))  # type: ignore[arg-type]
    next(loader)
    with store_wait() as waited:
        for _ in range(5):
            time.sleep(0.1)
            next(loader)
    assert waited.reads < 0.02


def test_a_tar_that_another_process_is_fetching_is_waited_for(tmp_path: Path) -> None:
    manifest = read_manifest(
        write_training_shards(tmp_path / "root", make_samples(20, seed=1)), "training_shards"
    )
    [entry] = manifest.content["splits"]["train"]
    size = len(manifest.store.get(entry["tar_key"]))
    remote = RemoteStore(manifest.store, slow_s=0.2)
    tars = StreamedTars(
        remote,  # type: ignore[arg-type]
        [StoredTar(entry["tar_key"], entry["digest"], size)],
        tmp_path,
        "a test",
    )
    tars.expect([0], [])
    wait_for(lambda: any(tmp_path.glob("*.lock")))
    with store_wait() as waited, tars.open(0):
        pass
    tars.close()
    assert len(remote.asked) == 1
    assert waited.reads > 0.05


def test_the_share_of_each_interval_is_logged() -> None:
    waited, logged = StoreWait(), []

    class Delay(ProgressLog):
        def on_train_batch_end(self, trainer: Any, module: Any, *given: Any) -> None:
            if module.step in (3, 4):
                time.sleep(0.02)
                waited.writes += 0.02
            super().on_train_batch_end(trainer, module, *given)

    log = Delay(
        "a trial",
        lambda values, step: logged.append(values["train/store_wait"]),
        max_steps=6,
        samples_a_step=4,
        samples=40,
        log_every=2,
        waited=waited,
    )
    module = make_module([contrastive()])
    run(module, [[make_batch(step, range(4))] for step in range(6)], [log])
    assert logged[0] == logged[2] == 0
    assert 0.2 < logged[1] <= 1
