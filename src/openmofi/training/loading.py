"""Batches in the order of steps, made ahead in processes that say how long the store kept them."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset, get_worker_info

from openmofi.errors import OpenMofiError
from openmofi.store_wait import Debts, StoreWait, apart
from openmofi.training.data import Batch, TrainingData


def step_loader(data: TrainingData, steps: range, *, workers: int) -> DataLoader[list[Batch]]:
    """The batches of ``steps`` in order; any number of workers gives the same.

    Who iterates notes what it waits for the store; see `openmofi.store_wait`.
    """
    return _StepLoader(
        _Told(data),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        collate_fn=_as_it_is,
        # Tokenizer and tables are inherited rather than pickled.
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_own_files,
    )


class _Item(NamedTuple):
    """The batches of a step, or why there are none, and how the store delayed their maker."""

    batches: list[Batch] | OpenMofiError
    wait: StoreWait
    worker: int


class _Told(Dataset[_Item]):
    """Hands an error on as an item."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data

    def __getitem__(self, step: int) -> _Item:
        batches, wait = apart(self._batches, step)
        worker = get_worker_info()
        return _Item(batches, wait, 0 if worker is None else worker.id)

    def _batches(self, step: int) -> list[Batch] | OpenMofiError:
        try:
            return self.data[step]
        except OpenMofiError as error:
            return error


class _StepLoader(DataLoader[Any]):
    """Raises a worker's error as it is; torch would add a traceback to its one line."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        debts, asked = Debts(), time.monotonic()
        item: _Item
        for item in super().__iter__():
            debts.felt(item.worker, item.wait, time.monotonic() - asked)
            if isinstance(item.batches, OpenMofiError):
                raise item.batches
            yield item.batches
            asked = time.monotonic()


def _own_files(_: int) -> None:
    """Files that were opened before the fork would share their place with other processes."""
    worker = get_worker_info()
    if worker is not None and isinstance(worker.dataset, _Told):
        worker.dataset.data.images.close()


def _as_it_is(item: Any) -> Any:
    return item
