"""Symmetric InfoNCE over the global batch, with negatives of the same entity masked.

Sources: CLIP (arXiv 2103.00020) for the loss and the capped, learnable logit scale. The mask is
our own: two pairs that show the same entity are no negatives of each other.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from openmofi.losses.ranks import first_row, gather_rows

MAX_LOGIT_SCALE = 100.0


def contrastive_loss(
    images: Tensor,
    texts: Tensor,
    log_scale: Tensor,
    groups: Tensor | None = None,
    *,
    chunk: int | None = None,
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
        chunk: Rows at once: logits [chunk, B x ranks] instead of [B, B x ranks] are in memory,
            and are made again for the gradients. ``None``: all.
    """
    with torch.autocast(images.device.type, enabled=False):
        images, texts = images.float(), texts.float()
        all_images, all_texts = gather_rows(images), gather_rows(texts)
        everyone = None if groups is None else gather_rows(groups)
        scale = log_scale.float().exp()
        size = chunk or len(images)
        total = _one_way(images, all_texts, scale, groups, everyone, size)
        total = total + _one_way(texts, all_images, scale, groups, everyone, size)
    return total / (2 * len(images))


def _one_way(
    queries: Tensor,
    keys: Tensor,
    scale: Tensor,
    groups: Tensor | None,
    all_groups: Tensor | None,
    size: int,
) -> Tensor:
    """Sum over this rank's queries [B, d], ``size`` of them at once."""
    targets = first_row(len(queries)) + torch.arange(len(queries), device=queries.device)
    total = scale.new_zeros(())
    for start in range(0, len(queries), size):
        part = slice(start, start + size)
        mine = None if groups is None else groups[part]
        given = (queries[part], keys, scale, targets[part], mine, all_groups)
        if size < len(queries):
            total = total + checkpoint(_cross_entropy, *given, use_reentrant=False)
        else:
            total = total + _cross_entropy(*given)
    return total


def _cross_entropy(
    queries: Tensor,
    keys: Tensor,
    scale: Tensor,
    targets: Tensor,
    groups: Tensor | None,
    all_groups: Tensor | None,
) -> Tensor:
    """Sum over the queries [c, d], each against all keys [N, d]."""
    logits = scale * queries @ keys.T
    if groups is not None and all_groups is not None:
        logits = logits.masked_fill(_same_group(groups, all_groups, targets), -math.inf)
    return functional.cross_entropy(logits, targets, reduction="sum")


def cap_logit_scale_(log_scale: Tensor, maximum: float = MAX_LOGIT_SCALE) -> None:
    """Hold a learnable logit scale to 1 … ``maximum``, in place; called after each update.

    The parameter itself is held rather than its exponential in the loss: a clamp there would
    have no gradient above the cap, and the scale could never come down again.
    """
    with torch.no_grad():
        log_scale.clamp_(0.0, math.log(maximum))


def _same_group(groups: Tensor, all_groups: Tensor, targets: Tensor) -> Tensor:
    """Cells [B, N] of the same group, but for each row's own pair."""
    same = (groups[:, None] == all_groups) & (groups[:, None] >= 0)
    columns = torch.arange(len(all_groups), device=groups.device)
    return same & (columns != targets[:, None])
