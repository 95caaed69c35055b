"""Class rows outside ``parameters()``, with a row-wise optimiser of their own.

A head of millions of classes can't be an ordinary parameter: data-parallel training would
broadcast and average rows that belong to one rank, and a dense optimiser would touch every row at
every step. Here the head owns its rows, their Adam moments and its part of the checkpoint, and a
step costs as much as the classes that were sampled. Sources: PartialFC (arXiv 2010.05222);
Adam (arXiv 1412.6980), with the bias corrected by the number of updates of each row.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from openmofi.errors import InputError
from openmofi.losses.margin_softmax import TakenRows
from openmofi.training.draws import integer
from openmofi.training.row_state import RowState

_INITIAL_DEVIATION = 0.01
_INITIAL_BLOCK = 4096  # rows that one generator makes; part of what a seed means
_UPDATED_AT_ONCE = 512  # rows: with their moments and temporaries a few MB, which a cache holds
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
        state: Where the moments lie: "device" with the rows, "cpu", or a folder in which they are
            memory-mapped files.
    """

    def __init__(
        self,
        block: range,
        dim: int,
        *,
        seed: int,
        betas: tuple[float, float] = (0.9, 0.98),
        state: str = "device",
    ) -> None:
        self.block = block
        self._seed = seed
        self._betas = betas
        self.rows = initial_rows(block, dim, seed=seed)
        self._state = RowState(len(block), dim, place=state)
        self._taken: list[TakenRows] = []
        self._merged: tuple[Tensor, Tensor] | None = None

    @property
    def dim(self) -> int:
        """Width of a row."""
        return int(self.rows.shape[1])

    def to(self, device: torch.device) -> None:
        """Move the rows, and the moments where they lie with them."""
        self.rows = self.rows.to(device)
        self._state.to(device)

    def set_rows(self, classes: Tensor, rows: Tensor) -> None:
        """Begin with these rows [n, dim] where the classes [n] are this rank's.

        Raises:
            InputError: They have another width.
        """
        if len(rows) and rows.shape[1] != self.dim:
            raise InputError(
                f"the initial model's class rows are {rows.shape[1]} wide, this run's {self.dim}: "
                "it is another model"
            )
        mine = (classes >= self.block.start) & (classes < self.block.stop)
        self.rows[classes[mine] - self.block.start] = rows[mine].to(self.rows.device)

    def take(self, classes: Tensor) -> TakenRows:
        """Rows by their classes, remembered until the next `step`.

        Args:
            classes: Distinct class indices of this rank's block, int64 [n].
        """
        taken = TakenRows.of(self.rows, classes - self.block.start)
        self._taken.append(taken)
        return taken

    def gradient(self) -> Tensor:
        """Sum of the gradients since the last `step` [m, dim]: one row a class that was taken.

        It may be scaled in place; `step` uses it as it is then.
        """
        if self._taken or self._merged is None:
            self._merged = self._merge()
        return self._merged[1]

    def _merge(self) -> tuple[Tensor, Tensor]:
        pairs = [(one.places, one.leaf.grad) for one in self._taken if one.leaf.grad is not None]
        self._taken = []
        if self._merged is not None:
            pairs.append(self._merged)
        if len(pairs) == 1:
            return pairs[0]
        if not pairs:
            none = torch.zeros(0, dtype=torch.int64, device=self.rows.device)
            return none, self.rows[none]
        places, inverse = torch.unique(torch.cat([p for p, _ in pairs]), return_inverse=True)
        total = torch.zeros(len(places), self.dim, device=self.rows.device)
        for part, (_, gradient) in zip(
            inverse.split([len(p) for p, _ in pairs]), pairs, strict=True
        ):
            total.index_add_(0, part, gradient)
        return places, total

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the rows that were taken by Adam, and leave all others as they are."""
        gradients = self.gradient()
        assert self._merged is not None
        for start in range(0, len(gradients), _UPDATED_AT_ONCE):
            part = slice(start, start + _UPDATED_AT_ONCE)
            self._update(self._merged[0][part], gradients[part], learning_rate)
        self._merged = None

    def _update(self, places: Tensor, gradient: Tensor, learning_rate: float) -> None:
        beta1, beta2 = self._betas
        first, second, updates = self._state.read(places)
        updates += 1
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        self._state.write(places, first, second, updates)
        # The two corrections are one number a row each, so they scale the step and epsilon.
        exact = updates.double()
        root = (1 - beta2**exact).sqrt()
        rate = -learning_rate * root / (1 - beta1**exact)
        size = second.sqrt_().add_((_EPSILON * root).float()[:, None])
        self.rows.index_add_(0, places, first.mul_(rate.float()[:, None]).div_(size))

    def grow(self, block: range) -> None:
        """Own more classes: the old rows keep their values and moments, new ones are fresh.

        Args:
            block: Must start where the present block does and not end before it.
        """
        if block.start != self.block.start or block.stop < self.block.stop:
            raise ValueError(f"classes {self.block} cannot grow to {block}")
        added = initial_rows(range(self.block.stop, block.stop), self.dim, seed=self._seed)
        self.rows = torch.cat([self.rows, added.to(self.rows.device)])
        self._state.grow(len(block))
        self.block = block

    def part(self, classes: range) -> dict[str, Tensor]:
        """Rows, moments and numbers of updates of some classes of the block, on the CPU."""
        places = torch.arange(classes.start, classes.stop) - self.block.start
        there = places.to(self.rows.device)
        names = ("first_moments", "second_moments", "updates")
        state = dict(zip(names, self._state.read(there), strict=True))
        return {name: tensor.cpu() for name, tensor in {"rows": self.rows[there], **state}.items()}

    def load_part(self, classes: range, part: Mapping[str, Any]) -> None:
        """Take over what `part` gave, of those of its ``classes`` that are this rank's.

        Raises:
            InputError: The rows have another width.
        """
        width = part["rows"].shape[1]
        if width != self.dim:
            raise InputError(
                f"the checkpoint's class rows are {width} wide, this run's {self.dim}: it belongs "
                "to another model"
            )
        mine = range(max(classes.start, self.block.start), min(classes.stop, self.block.stop))
        if not len(mine):
            return
        there = slice(mine.start - classes.start, mine.stop - classes.start)
        places = torch.arange(mine.start, mine.stop, device=self.rows.device) - self.block.start
        values = {name: tensor[there].to(self.rows.device) for name, tensor in part.items()}
        self.rows[places] = values["rows"]
        moments = values["first_moments"], values["second_moments"], values["updates"]
        self._state.write(places, *moments)
