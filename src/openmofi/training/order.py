"""The order of samples: arithmetic on a position, no state."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.training.draws import Indices, integer, permute
from openmofi.training.resampling import OFFSET_BITS, Resampling


class Located(NamedTuple):
    """What stands at some positions, int64[n] each.

    ``rows`` are counted over all shards in their order. ``repeats`` count a row's earlier comings
    in the same epoch: 0 unless the order has weights.
    """

    epochs: Indices
    rows: Indices
    repeats: Indices


@dataclass(frozen=True)
class Window:
    """Shards that are mixed together at one time of the run."""

    epoch: int
    index: int  # in its epoch
    shards: tuple[int, ...]


@dataclass(frozen=True)
class _Epoch:
    offset: int  # of the resampling
    first: Indices  # place of each shard's first sample, and of the end
    shards: Indices  # in the epoch's order
    starts: Indices  # position of each of them, and of the end
    windows: Indices  # position of each window's first sample, and of the end


class SampleOrder:
    """Which sample stands at a position of an endless run.

    Each epoch takes the shards in an order of its own, in windows of ``window_shards``; within a
    window its samples are mixed. So a reader touches few shards at a time, and the order is random
    across shards. An epoch has as many places as there are samples. Every sample comes once an
    epoch; with weights it comes as often as its weight says, next time rounded another way.

    Args:
        shard_rows: Samples of each shard.
        seed: Another one gives another order.
        window_shards: Shards that are mixed together.
        weights: float64[samples], above 0; see `openmofi.training.resampling`.
    """

    def __init__(
        self,
        shard_rows: Sequence[int],
        *,
        seed: int,
        window_shards: int,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._first = np.concatenate([[0], np.cumsum(np.asarray(shard_rows, np.int64))])
        self._seed = seed
        self._window = window_shards
        self._epoch = lru_cache(maxsize=2)(self._plan_epoch)
        self.size = int(self._first[-1])
        self._resampling = None if weights is None else Resampling(weights)
        if weights is not None and len(weights) != self.size:
            raise ValueError(f"{len(weights)} weights for {self.size} samples")

    def locate(self, positions: Indices) -> Located:
        """The samples at ``positions``."""
        epochs, places = np.divmod(np.asarray(positions, np.int64), self.size)
        rows, repeats = np.empty_like(places), np.zeros_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            plan = self._epoch(int(epoch))
            taken = self._mixed(plan, int(epoch), places[here])
            if self._resampling is None:
                rows[here] = taken
            else:
                rows[here] = self._resampling.rows(taken, plan.offset)
                repeats[here] = taken - self._resampling.first_places(rows[here], plan.offset)
        return Located(epochs, rows, repeats)

    def windows(self, first: int, last: int) -> list[Window]:
        """The windows of positions ``first`` … ``last``, and at the end the one after them."""
        found = [self._window_at(first)]
        position = first
        while position <= last:
            epoch, index = found[-1].epoch, found[-1].index
            position = epoch * self.size + int(self._epoch(epoch).windows[index + 1])
            found.append(self._window_at(position))
        return found

    def _window_at(self, position: int) -> Window:
        epoch, place = divmod(position, self.size)
        plan = self._epoch(epoch)
        index = int(np.searchsorted(plan.windows, place, side="right")) - 1
        shards = plan.shards[index * self._window : (index + 1) * self._window]
        return Window(epoch, index, tuple(shards.tolist()))

    def _mixed(self, plan: _Epoch, epoch: int, places: Indices) -> Indices:
        """Places as they are read to places as shards and rows lie."""
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
        result: Indices = plan.first[plan.shards[turn]] + mixed - plan.starts[turn]
        return result

    def _plan_epoch(self, epoch: int) -> _Epoch:
        offset, first = 0, self._first
        if self._resampling is not None:
            offset = integer(self._seed, epoch, "resampling") >> (63 - OFFSET_BITS)
            # A shard keeps its rows' places, so a window reads from its own shards only.
            first = self._resampling.first_places(self._first, offset)
        sizes = np.diff(first)
        filled = np.flatnonzero(sizes)  # an empty shard would make an empty window
        shards = filled[permute(np.arange(len(filled)), len(filled), self._seed, epoch, "shards")]
        starts = np.concatenate([[0], np.cumsum(sizes[shards])])
        windows = np.append(starts[: -1 : self._window], starts[-1])
        return _Epoch(offset, first, shards, starts, windows)
