"""Margin softmax: cross entropy over cosines with class rows, of which a sample's own is lowered.

Pure tensors; which classes are compared is `openmofi.losses.class_sampling`'s affair, who owns the
rows and how they are updated is `openmofi.training.class_head`'s.
Sources: MOFI (arXiv 2306.07952) for the setting; `openmofi.losses.margins` for the margins.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from openmofi.losses.chunked_margin_softmax import Own, chunked_sum
from openmofi.losses.margins import Margin
from openmofi.losses.ranks import gather_rows

DEFAULT_CHUNK = 1024  # with a width of 512 they fit a core's second cache


@dataclass(frozen=True)
class TakenRows:
    """Some rows of a table, which are read where they lie instead of being copied.

    Args:
        table: Class vectors [C, d].
        places: Which of them, int64 [n].
        leaf: [n, d], of which only the gradient counts: it receives that of the rows.
    """

    table: Tensor
    places: Tensor
    leaf: Tensor

    @classmethod
    def of(cls, table: Tensor, places: Tensor) -> "TakenRows":
        """Rows whose gradient is wanted, without n x d numbers for the rows themselves."""
        nothing = torch.zeros(1, 1, dtype=table.dtype, device=table.device)
        leaf = nothing.expand(len(places), table.shape[1]).requires_grad_()
        return cls(table, places, leaf)


def margin_softmax(
    embeddings: Tensor,
    rows: Tensor | TakenRows,
    targets: Tensor,
    *,
    margin: Margin,
    scale: float,
    chunk: int = DEFAULT_CHUNK,
    offsets: Tensor | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Mean cross entropy over ``scale`` times the cosines, less the margin, in float32.

    With several labels a sample has a soft target, the same share for each of them, and of the
    margin each own class gets that share (as axlearn's loss does).

    The rows may be spread over ranks, each passing its own, together with all ranks' targets;
    give ``labels`` then. The result is the same on every rank, and gradients of the embeddings,
    averaged over ranks (as DDP does), are the loss's; gradients of rows are the loss's at once.

    Args:
        embeddings: [B, d], this rank's; need not be normalised.
        rows: Class vectors [n, d]; need not be normalised.
        targets: Row of each own class, int64 [N] or [N, K], N the samples of all ranks; -1: none
            here. Those of a sample are distinct.
        margin: Of the own classes.
        scale: Inverse temperature.
        chunk: Classes at once: logits never stand whole in memory.
        offsets: Subtracted from the logits of each row [n].
        labels: Of all ranks, int64 [N] or [N, K], -1 means none. None: one rank has all rows, and
            a sample without a target has no label.

    Returns:
        A scalar: the mean over the samples that have a label, 0 if none has.
    """
    images = functional.normalize(embeddings.float(), dim=-1)
    known = targets if labels is None else labels
    if labels is not None:
        images = gather_rows(images)
    if known.ndim == 1:
        known, targets = known[:, None], targets[:, None]
    counts = (known >= 0).sum(dim=1)
    shares = counts.clamp(min=1).reciprocal().float()
    if isinstance(rows, Tensor):
        rows = TakenRows(rows, torch.arange(len(rows), device=rows.device), rows)
    total = chunked_sum(
        images,
        rows.leaf,
        (rows.table.detach(), rows.places, offsets),
        Own(targets, shares, counts > 0, margin),
        scale=scale,
        chunk=chunk,
        across_ranks=labels is not None,
    )
    return total / (counts > 0).sum().clamp(min=1)
