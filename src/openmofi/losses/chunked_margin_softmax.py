"""Margin softmax over many classes without their logits: an online sum, and a second pass back.

The forward pass keeps a running maximum and sum of exponentials for each sample (Milakov and
Gimelshein, arXiv 1805.02867); the backward pass makes each chunk's logits again (those of a few
samples are kept), turns them into probabilities by the sum that is then known, and projects the
gradient through the rows' normalisation at once. So the memory does not grow with samples times
classes, and ranks that hold a part of the classes each exchange two numbers a sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from openmofi.losses.margins import Margin
from openmofi.losses.ranks import greatest_over_ranks, sum_over_ranks, world_size

_LEAST_NORM = 1e-12  # as in functional.normalize
# Logits are kept for the second pass where they take at most a half of the rows' gradient.
_KEPT_SHARE = 2


@dataclass(frozen=True)
class Own:
    """What the samples' own classes are.

    Args:
        targets: Their rows, int64 [N, K]; -1: none, or not among these rows.
        shares: Of each own class in a sample's soft target [N].
        labelled: Which samples have a label on some rank, bool [N]; the others do not count.
        margin: By which they are lowered.
    """

    targets: Tensor
    shares: Tensor
    labelled: Tensor
    margin: Margin

    def places(self, start: int, size: int) -> tuple[Tensor, Tensor]:
        """Samples and columns of the own classes among rows ``start`` to ``start + size``."""
        inside = self.targets - start
        which, slot = torch.nonzero((inside >= 0) & (inside < size), as_tuple=True)
        return which, inside[which, slot]

    def lowered(self, cosines: Tensor, which: Tensor) -> Tensor:
        """Cosines of own classes of the samples ``which``, less their share of the margin."""
        return cosines + self.shares[which] * (self.margin(cosines) - cosines)


Rows = tuple[Tensor, Tensor, Tensor | None]  # table [C, d], places [n], offsets [n]


def chunked_sum(
    images: Tensor,
    leaf: Tensor,
    rows: Rows,
    own: Own,
    *,
    scale: float,
    chunk: int,
    across_ranks: bool = False,
) -> Tensor:
    """Sum of the samples' cross entropies; see `margin_softmax.margin_softmax`.

    Args:
        images: [N, d], normalised; their type is the arithmetic's.
        leaf: [n, d]; receives the rows' gradient. Its numbers are not read.
        rows: The table, which of its rows, and what is subtracted from their logits.
        own: The samples' own classes.
        scale: Inverse temperature.
        chunk: Classes at once.
        across_ranks: The rows of other ranks count too.
    """
    with torch.autocast(images.device.type, enabled=False):
        result: Tensor = _ChunkedSum.apply(images, leaf, rows, own, scale, chunk, across_ranks)
    return result


class _ChunkedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        leaf: Tensor,
        rows: Rows,
        own: Own,
        scale: float,
        chunk: int,
        across_ranks: bool,
    ) -> Tensor:
        greatest = images.new_full((len(images),), -torch.inf)
        total, of_own = images.new_zeros(len(images)), images.new_zeros(len(images))
        factors = images.new_empty(len(rows[1]))  # scale over the norm of each row
        kept: list[_Logits] = []
        for part, where, offsets in _chunks(rows, chunk, images.dtype):
            norms = torch.linalg.vector_norm(part, dim=1).clamp_(min=_LEAST_NORM)
            torch.div(scale, norms, out=factors[where])
            found = _logits(images, part, where, factors[where], own, scale)
            if len(images) * _KEPT_SHARE <= images.shape[1]:
                kept.append(found._replace(values=found.values.clone()))
            logits, which, columns, _ = found
            of_own.index_add_(0, which, own.shares[which] * logits[which, columns])
            if offsets is not None:
                logits.sub_(offsets)
            new = torch.maximum(greatest, logits.amax(dim=1))
            total = total * (greatest - new).exp() + logits.sub_(new[:, None]).exp_().sum(dim=1)
            greatest = new
        if across_ranks:
            local = greatest
            greatest = greatest_over_ranks(local.clone())
            total = sum_over_ranks(total * (local - greatest).exp())
            sum_over_ranks(of_own)
        normaliser = greatest + total.log()
        ctx.save_for_backward(images, normaliser, factors)
        ctx.given = rows, own, scale, chunk, kept
        # DDP will average over ranks what the ranks' rows add up to.
        ctx.factor = world_size() if across_ranks else 1
        return torch.where(own.labelled, normaliser - of_own, 0).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        # A trainer may go back inside the region of autocast that it went forward in.
        with torch.autocast(gradients[0].device.type, enabled=False):
            of_images, of_rows = _gradients(ctx, gradients[0])
        return of_images, of_rows, None, None, None, None, None


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Of the images, and of the rows."""
    images, normaliser, factors = ctx.saved_tensors
    rows, own, scale, chunk, kept = ctx.given
    weight = gradient * own.labelled
    of_images = torch.zeros_like(images)
    of_rows = images.new_empty(len(rows[1]), images.shape[1])
    for number, (part, where, offsets) in enumerate(_chunks(rows, chunk, images.dtype)):
        factor = factors[where]
        found = kept[number] if kept else _logits(images, part, where, factor, own, scale)
        logits, which, columns, slopes = found
        if offsets is not None:
            logits = logits - offsets
        shares = (logits - normaliser[:, None]).exp_().mul_(weight[:, None])
        at_own = (shares[which, columns] - weight[which] * own.shares[which]) * slopes
        # From here on of the products with the rows as they are, not yet of unit length.
        shares.mul_(factor)
        shares[which, columns] = at_own * factor[columns] / scale
        of_images.addmm_(shares, part)
        of_part = torch.mm(shares.T, images, out=of_rows[where])
        along = torch.linalg.vecdot(of_part, part) * (factor / scale).square()
        of_part.addcmul_(part, along[:, None], value=-1)
    return of_images * ctx.factor, of_rows.to(rows[0].dtype)


def _chunks(
    rows: Rows, chunk: int, dtype: torch.dtype
) -> Iterator[tuple[Tensor, slice, Tensor | None]]:
    """Rows, ``chunk`` at once, with where they stand; valid until the next ones are asked for."""
    table, places, offsets = rows
    # One buffer: an allocator would ask for fresh pages at each chunk.
    buffer = table.new_empty(min(chunk, len(places)), table.shape[1])
    for start in range(0, len(places), chunk):
        where = slice(start, min(start + chunk, len(places)))
        part = buffer[: where.stop - start]
        torch.index_select(table, 0, places[where], out=part)
        yield part.to(dtype), where, None if offsets is None else offsets[where]


class _Logits(NamedTuple):
    """``scale`` times cosines [N, c], the own classes' lowered; where those are, their slopes."""

    values: Tensor
    which: Tensor
    columns: Tensor
    slopes: Tensor


def _logits(
    images: Tensor, part: Tensor, where: slice, factor: Tensor, own: Own, scale: float
) -> _Logits:
    """Of one chunk."""
    logits = (images @ part.T).mul_(factor)
    which, columns = own.places(where.start, len(part))
    with torch.enable_grad():
        cosines = (logits[which, columns] / scale).detach().requires_grad_()
        lowered = scale * own.lowered(cosines, which)
        (slopes,) = torch.autograd.grad(lowered.sum(), cosines)
    logits[which, columns] = lowered.detach()
    return _Logits(logits, which, columns, slopes)
