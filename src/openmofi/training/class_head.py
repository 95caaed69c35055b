"""Class rows outside ``parameters()``, with a row-wise optimiser of their own.

A head of millions of classes can't be an ordinary parameter: data-parallel training would
broadcast and average rows that belong to one rank, and a dense optimiser would touch every row at
every step. Here the head owns its rows, their Adam moments and its part of the checkpoint, and a
step costs as much as the classes that were sampled. Sources: PartialFC (arXiv 2010.05222);
Adam (arXiv 1412.6980), with the bias corrected by the number of updates of each row.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from openmofi.errors import InputError
from openmofi.training.draws import integer

_INITIAL_DEVIATION = 0.01
_INITIAL_BLOCK = 4096  # rows that one generator makes; part of what a seed means
_EPSILON = 1e-8


def class_block(num_classes: int, rank: int, world_size: int) -> range:
    """The classes that a rank owns: contiguous, the remainder spread over the first ranks."""
    size, extra = divmod(num_classes, world_size)
    first = rank * size + min(rank, extra)
    return range(first, first + size + (rank < extra))


def initial_rows(block: range, dim: int, *, seed: int) -> Tensor:
    """Gaussian rows float32 [len(block), dim].

    A class's row depends on the seed and its index alone: neither on the number of ranks nor on
    the size of the vocabulary.
    """
    rows = torch.empty(len(block), dim)
    for start in range(block.start // _INITIAL_BLOCK * _INITIAL_BLOCK, block.stop, _INITIAL_BLOCK):
        generator = torch.Generator().manual_seed(integer(seed, "class rows", start))
        made = torch.randn(_INITIAL_BLOCK, dim, generator=generator) * _INITIAL_DEVIATION
        wanted = range(max(start, block.start), min(start + _INITIAL_BLOCK, block.stop))
        rows[wanted.start - block.start : wanted.stop - block.start] = made[
            wanted.start - start : wanted.stop - start
        ]
    return rows


class ClassHead:
    """The class vectors of one rank.

    A step is: `take` the sampled rows (once or, accumulating, several times), backward through
    what was made of them, `gradient` to see or scale what came back, `step` to update the rows.

    Args:
        block: Classes of this rank, out of all classes.
        dim: Width of the embeddings.
        seed: Of the initial rows.
        betas: Adam's.
    """

    def __init__(
        self, block: range, dim: int, *, seed: int, betas: tuple[float, float] = (0.9, 0.98)
    ) -> None:
        self.block = block
        self._seed = seed
        self._betas = betas
        self.rows = initial_rows(block, dim, seed=seed)
        self._first = torch.zeros_like(self.rows)
        self._second = torch.zeros_like(self.rows)
        self._updates = torch.zeros(len(block), dtype=torch.int32)
        self._taken: list[tuple[Tensor, Tensor]] = []
        self._merged: tuple[Tensor, Tensor] | None = None

    @property
    def dim(self) -> int:
        """Width of a row."""
        return int(self.rows.shape[1])

    def to(self, device: torch.device) -> None:
        """Move rows and moments."""
        self.rows, self._first, self._second, self._updates = (
            tensor.to(device) for tensor in self._tensors()
        )

    def take(self, classes: Tensor) -> Tensor:
        """Copies of rows [n, dim], a leaf for gradients, remembered until the next `step`.

        Args:
            classes: Distinct class indices of this rank's block, int64 [n].
        """
        places = classes - self.block.start
        taken = self.rows[places].requires_grad_()
        self._taken.append((places, taken))
        self._merged = None
        return taken

    def gradient(self) -> Tensor:
        """Sum of the gradients since the last `step` [m, dim]: one row a class that was taken.

        It may be scaled in place; `step` uses it as it is then.
        """
        if self._merged is None:
            self._merged = self._merge()
        return self._merged[1]

    def _merge(self) -> tuple[Tensor, Tensor]:
        pairs = [(places, rows.grad) for places, rows in self._taken if rows.grad is not None]
        if len(pairs) == 1:
            return pairs[0]
        if not pairs:
            none = torch.zeros(0, dtype=torch.int64, device=self.rows.device)
            return none, self.rows[none]
        places, inverse = torch.unique(torch.cat([p for p, _ in pairs]), return_inverse=True)
        total = torch.zeros(len(places), self.dim, device=self.rows.device)
        return places, total.index_add_(0, inverse, torch.cat([g for _, g in pairs]))

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the rows that were taken by Adam, and leave all others as they are."""
        gradient = self.gradient()
        assert self._merged is not None
        places = self._merged[0]
        beta1, beta2 = self._betas
        updates = self._updates[places] + 1
        first = self._first[places].lerp_(gradient, 1 - beta1)
        second = self._second[places].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        corrected1, corrected2 = (
            (1 - beta ** updates.double()).float()[:, None] for beta in (beta1, beta2)
        )
        size = (second / corrected2).sqrt_().add_(_EPSILON)
        self.rows[places] -= learning_rate * (first / corrected1) / size
        self._first[places], self._second[places] = first, second
        self._updates[places] = updates
        self._taken, self._merged = [], None

    def grow(self, block: range) -> None:
        """Own more classes: the old rows keep their values and moments, new ones are fresh.

        Args:
            block: Must start where the present block does and not end before it.
        """
        if block.start != self.block.start or block.stop < self.block.stop:
            raise ValueError(f"classes {self.block} cannot grow to {block}")
        added = initial_rows(range(self.block.stop, block.stop), self.dim, seed=self._seed)
        added = added.to(self.rows.device)
        self.rows = torch.cat([self.rows, added])
        self._first = torch.cat([self._first, torch.zeros_like(added)])
        self._second = torch.cat([self._second, torch.zeros_like(added)])
        self._updates = torch.cat([self._updates, self._updates.new_zeros(len(added))])
        self.block = block

    def state_dict(self) -> dict[str, Any]:
        """Everything that a run needs to go on, apart from the model's."""
        names = ("rows", "first_moments", "second_moments", "updates")
        tensors = dict(zip(names, self._tensors(), strict=True))
        return {"block": [self.block.start, self.block.stop], **tensors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of a head of the same block and width.

        Raises:
            InputError: It is another block's, or another vocabulary's.
        """
        block, shape = range(*state["block"]), tuple(state["rows"].shape)
        if block != self.block or shape != tuple(self.rows.shape):
            raise InputError(
                f"the checkpoint's class rows are {shape} for classes {block.start} to "
                f"{block.stop}, this run has {tuple(self.rows.shape)} for {self.block.start} to "
                f"{self.block.stop}: it belongs to another vocabulary or model"
            )
        device = self.rows.device
        self.rows, self._first, self._second, self._updates = (
            state[name].to(device, copy=True)
            for name in ("rows", "first_moments", "second_moments", "updates")
        )

    def _tensors(self) -> Sequence[Tensor]:
        return self.rows, self._first, self._second, self._updates
