"""The order of samples: arithmetic on a position, no state."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from openmofi.training.draws import Indices, permute


@dataclass(frozen=True)
class _Epoch:
    shards: Indices  # in the epoch's order
    starts: Indices  # position of each of them, and of the end
    windows: Indices  # position of each window's first sample, and of the end


class SampleOrder:
    """Which sample stands at a position of an endless run.

    Each epoch takes the shards in an order of its own, in windows of ``window_shards``; within a
    window its samples are mixed. So a reader touches few shards at a time, and the order is random
    across shards. Every sample comes once an epoch.

    Args:
        shard_rows: Samples of each shard.
        seed: Another one gives another order.
        window_shards: Shards that are mixed together.
    """

    def __init__(self, shard_rows: Sequence[int], *, seed: int, window_shards: int) -> None:
        self._rows = np.asarray(shard_rows, np.int64)
        self._first = np.concatenate([[0], np.cumsum(self._rows)])
        self._seed = seed
        self._window = window_shards
        self._epoch = lru_cache(maxsize=2)(self._plan_epoch)
        self.size = int(self._first[-1])

    def locate(self, positions: Indices) -> tuple[Indices, Indices]:
        """Epoch of each position, and row of its sample, counted over all shards in their order."""
        epochs, places = np.divmod(np.asarray(positions, np.int64), self.size)
        rows = np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            rows[here] = self._rows_of(int(epoch), places[here])
        return epochs, rows

    def _rows_of(self, epoch: int, places: Indices) -> Indices:
        plan = self._epoch(epoch)
        mixed = np.empty_like(places)
        windows = np.searchsorted(plan.windows, places, side="right") - 1
        for window in np.unique(windows):
            here = windows == window
            start, end = plan.windows[window], plan.windows[window + 1]
            inside = permute(
                places[here] - start, int(end - start), self._seed, epoch, "window", int(window)
            )
            mixed[here] = start + inside
        turn = np.searchsorted(plan.starts, mixed, side="right") - 1
        result: Indices = self._first[plan.shards[turn]] + mixed - plan.starts[turn]
        return result

    def _plan_epoch(self, epoch: int) -> _Epoch:
        filled = np.flatnonzero(self._rows)  # an empty shard would make an empty window
        shards = filled[permute(np.arange(len(filled)), len(filled), self._seed, epoch, "shards")]
        starts = np.concatenate([[0], np.cumsum(self._rows[shards])])
        return _Epoch(shards, starts, np.append(starts[: -1 : self._window], starts[-1]))
