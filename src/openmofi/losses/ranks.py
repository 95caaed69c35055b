"""Tensors across ranks; in a single process each function returns what it was given."""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional


def world_size() -> int:
    """Ranks that train together; 1 without ``torch.distributed``."""
    return distributed.get_world_size() if is_distributed() else 1


def is_distributed() -> bool:
    """Whether ``torch.distributed`` is initialised."""
    return distributed.is_available() and distributed.is_initialized()


def first_row(rows: int) -> int:
    """Where this rank's rows start among those of all ranks, each having ``rows``."""
    return rows * distributed.get_rank() if is_distributed() else 0


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks, in rank order; as many on each rank.

    Backwards, a rank's rows get the sum of the gradients that all ranks have for them.
    """
    if not is_distributed():
        return rows
    if rows.requires_grad:
        gathered: Tensor = _GatherRows.apply(rows)
        return gathered
    return _all_gather(rows)


def gather_ragged(rows: Tensor) -> Tensor:
    """The rows of all ranks, padded with -1 to the same number of columns.

    Args:
        rows: Integers [B, K]; B is the same on every rank, K may differ.
    """
    width = greatest_over_ranks(torch.tensor(rows.shape[1], device=rows.device))
    return gather_rows(functional.pad(rows, (0, int(width) - rows.shape[1]), value=-1))


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum in place; not differentiable."""
    if is_distributed():
        distributed.all_reduce(values)
    return values


def greatest_over_ranks(values: Tensor) -> Tensor:
    """Elementwise maximum in place; not differentiable."""
    if is_distributed():
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return values


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.rows = len(rows)
        return _all_gather(rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = sum_over_ranks(gradient.contiguous().clone())
        first = first_row(context.rows)
        return total[first : first + context.rows]


def _all_gather(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
