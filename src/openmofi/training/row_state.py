"""Adam's moments of class rows: on the rows' device, in the CPU's memory, or in mapped files.

Two moments take twice the memory of the rows, and a step reads those of the sampled rows alone.
So where a GPU cannot hold them they can lie a level further away, and the copies of a step move.
"""

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from openmofi.errors import InputError


class RowState:
    """First and second moments float32 [rows, dim], and numbers of updates int32 [rows].

    Args:
        rows: How many.
        dim: Width of a row.
        place: "device", "cpu", or a folder for memory-mapped files, which vanish with the process.

    Raises:
        InputError: The folder is not there.
    """

    def __init__(self, rows: int, dim: int, *, place: str) -> None:
        if place not in ("device", "cpu") and not Path(place).is_dir():
            raise InputError(
                f"class_state {place!r} is neither 'device' nor 'cpu' nor a folder; make the "
                "folder, on a local disk"
            )
        self._place = place
        self._dim = dim
        self._moments = self._zeros(rows), self._zeros(rows)
        self._updates = torch.zeros(rows, dtype=torch.int32)
        self._device = torch.device("cpu")

    def _zeros(self, rows: int) -> Tensor:
        if self._place in ("device", "cpu") or not rows:
            return torch.zeros(rows, self._dim)
        with tempfile.NamedTemporaryFile(dir=self._place, prefix="openmofi-moments-") as file:
            # A hole in a file is zeros that take no room; the mapping outlives the name.
            file.truncate(4 * rows * self._dim)
            mapped = torch.from_file(file.name, shared=True, size=rows * self._dim)
        return mapped.view(rows, self._dim)

    def to(self, device: torch.device) -> None:
        """Where `read` puts its copies; the moments move too if their place is "device"."""
        self._device = device
        if self._place == "device":
            first, second = self._moments
            self._moments = first.to(device), second.to(device)
            self._updates = self._updates.to(device)

    def read(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Copies of both moments and the numbers of updates of some rows, on the device."""
        there = places.to(self._updates.device)
        first, second = self._moments
        values = [one.index_select(0, there) for one in (first, second, self._updates)]
        return values[0].to(self._device), values[1].to(self._device), values[2].to(self._device)

    def write(self, places: Tensor, first: Tensor, second: Tensor, updates: Tensor) -> None:
        """Store what `read` gave, changed."""
        there = places.to(self._updates.device)
        for kept, value in zip(
            (*self._moments, self._updates), (first, second, updates), strict=True
        ):
            kept.index_copy_(0, there, value.to(kept.device))

    def grow(self, rows: int) -> None:
        """Have zeros for more rows."""
        old, before = self._moments, self._updates
        grown = self._zeros(rows), self._zeros(rows)
        self._moments = grown[0].to(old[0].device), grown[1].to(old[1].device)
        for new, kept in zip(self._moments, old, strict=True):
            new[: len(kept)] = kept
        self._updates = torch.cat([before, before.new_zeros(rows - len(before))])
