"""Margin softmax over many classes without their logits: an online sum, and a second pass back.

The forward pass keeps a running maximum and sum of exponentials for each sample (Milakov and
Gimelshein, arXiv 1805.02867); the backward pass makes each chunk's logits again, turns them into
probabilities by the sum that is then known, and projects the gradient through the rows'
normalisation at once. So neither logits nor normalised rows of all classes ever stand in memory.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from openmofi.losses.margins import Margin

_LEAST_NORM = 1e-12  # as in functional.normalize


def chunked_sum(
    images: Tensor, rows: Tensor, targets: Tensor, margin: Margin, scale: float, chunk: int
) -> Tensor:
    """Sum of the samples' cross entropies; see `sampled_margin_softmax.margin_softmax`.

    Args:
        images: [B, d], normalised; their type is the arithmetic's.
        rows: Class vectors [n, d]; need not be normalised.
        targets: Row of the own class, int64 [B]; samples with -1 do not count.
        margin: Of the own class.
        scale: Inverse temperature.
        chunk: Classes at once.
    """
    with torch.autocast(images.device.type, enabled=False):
        result: Tensor = _ChunkedSum.apply(images, rows, targets, margin, scale, chunk)
    return result


class _ChunkedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        rows: Tensor,
        targets: Tensor,
        margin: Margin,
        scale: float,
        chunk: int,
    ) -> Tensor:
        own = (
            images * functional.normalize(rows[targets.clamp(min=0)].to(images.dtype), dim=-1)
        ).sum(-1)
        lowered = scale * margin(own)
        greatest = images.new_full((len(images),), -torch.inf)
        total = images.new_zeros(len(images))
        for start in range(0, len(rows), chunk):
            centres = functional.normalize(rows[start : start + chunk].to(images.dtype), dim=-1)
            logits = _logits(images, centres, targets - start, lowered, scale)
            new = torch.maximum(greatest, logits.amax(dim=1))
            total = total * (greatest - new).exp() + logits.sub_(new[:, None]).exp_().sum(dim=1)
            greatest = new
        normaliser = greatest + total.log()
        ctx.save_for_backward(images, rows, targets, own, normaliser)
        ctx.margin, ctx.scale, ctx.chunk = margin, scale, chunk
        return torch.where(targets >= 0, normaliser - lowered, 0).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        images, rows, targets, own, normaliser = ctx.saved_tensors
        with torch.enable_grad():
            leaf = own.detach().requires_grad_()
            lowered = ctx.scale * ctx.margin(leaf)
            (slope,) = torch.autograd.grad(lowered.sum(), leaf)
        weight = gradients[0] * (targets >= 0)
        of_images, of_rows = torch.zeros_like(images), torch.empty_like(rows)
        for start in range(0, len(rows), ctx.chunk):
            part = rows[start : start + ctx.chunk].to(images.dtype)
            norms = part.norm(dim=-1, keepdim=True).clamp(min=_LEAST_NORM)
            centres = part / norms
            inside = targets - start
            logits = _logits(images, centres, inside, lowered.detach(), ctx.scale)
            shares = logits.sub_(normaliser[:, None]).exp_().mul_(weight[:, None])
            which, columns = _own_places(inside, len(part))
            at_own = (shares[which, columns] - weight[which]) * slope[which]
            shares.mul_(ctx.scale)
            shares[which, columns] = at_own
            of_images += shares @ centres
            of_centres = shares.T @ images
            along = (of_centres * centres).sum(dim=-1, keepdim=True)
            of_rows[start : start + ctx.chunk] = (of_centres - along * centres) / norms
        return of_images, of_rows, None, None, None, None


def _logits(
    images: Tensor, centres: Tensor, targets: Tensor, lowered: Tensor, scale: float
) -> Tensor:
    """``scale`` times the cosines, with the own classes' as they were lowered."""
    logits = scale * (images @ centres.T)
    which, columns = _own_places(targets, len(centres))
    logits[which, columns] = lowered[which]
    return logits


def _own_places(targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    which = torch.nonzero((targets >= 0) & (targets < classes)).squeeze(1)
    return which, targets[which]
