"""Symmetric InfoNCE over the global batch, with negatives of the same entity masked.

Sources: CLIP (arXiv 2103.00020) for the loss and the capped, learnable logit scale. The mask is
our own: two pairs that show the same entity are no negatives of each other.
"""

import math
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional

MAX_LOGIT_SCALE = 100.0


def contrastive_loss(
    images: Tensor, texts: Tensor, log_scale: Tensor, groups: Tensor | None = None
) -> Tensor:
    """Mean of image-to-text and text-to-image cross entropy, in float32.

    With ``torch.distributed`` initialised, every rank passes its own B rows (the same number on
    each) and they meet the rows of all ranks. The result is the rank's own share: its mean over
    ranks is the loss of the global batch, and gradients averaged over ranks (as DDP does) are
    that loss's gradients.

    Args:
        images: Unit vectors [B, d].
        texts: Unit vectors [B, d]; row i belongs to image i.
        log_scale: Scalar; logits are multiplied by its exponential.
        groups: int64 [B]. Pairs of the same group are not negatives of each other; -1 is a group
            of its own. ``None``: all others are negatives.
    """
    images, texts = images.float(), texts.float()
    all_images, all_texts, first = gather_rows(images), gather_rows(texts), _first_row(len(images))
    targets = torch.arange(first, first + len(images), device=images.device)
    scale = log_scale.float().exp()
    to_texts = scale * images @ all_texts.T  # [B, B x ranks]
    to_images = scale * texts @ all_images.T
    if groups is not None:
        mask = _same_group(groups, gather_rows(groups), targets)
        to_texts = to_texts.masked_fill(mask, -math.inf)
        to_images = to_images.masked_fill(mask, -math.inf)
    loss = functional.cross_entropy(to_texts, targets) + functional.cross_entropy(
        to_images, targets
    )
    return loss / 2


def cap_logit_scale_(log_scale: Tensor, maximum: float = MAX_LOGIT_SCALE) -> None:
    """Hold a learnable logit scale to 1 … ``maximum``, in place; called after each update.

    The parameter itself is held rather than its exponential in the loss: a clamp there would
    have no gradient above the cap, and the scale could never come down again.
    """
    with torch.no_grad():
        log_scale.clamp_(0.0, math.log(maximum))


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks, in rank order; ``rows`` itself in a single process.

    Backwards, a rank's rows get the sum of the gradients that all ranks have for them.
    """
    if not _distributed():
        return rows
    if rows.requires_grad:
        gathered: Tensor = _GatherRows.apply(rows)
        return gathered
    return _all_gather(rows)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.rows = len(rows)
        return _all_gather(rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        first = _first_row(context.rows)
        return total[first : first + context.rows]


def _all_gather(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def _same_group(groups: Tensor, all_groups: Tensor, targets: Tensor) -> Tensor:
    """Cells [B, N] of the same group, but for each row's own pair."""
    same = (groups[:, None] == all_groups) & (groups[:, None] >= 0)
    columns = torch.arange(len(all_groups), device=groups.device)
    return same & (columns != targets[:, None])


def _distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _first_row(rows: int) -> int:
    return rows * distributed.get_rank() if _distributed() else 0
