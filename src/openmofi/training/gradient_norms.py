"""How hard each objective pulls at the image embedding: what a weight between them is set by."""

from collections.abc import Mapping

import torch
from torch import Tensor

from openmofi.losses.ranks import sum_over_ranks, world_size


def gradient_norms(features: Tensor, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Norm of each loss's gradient on the embeddings of the global batch.

    Nothing is accumulated into any leaf, and the graph stays for the backward pass that follows.
    It costs a second backward pass through the losses, not through the towers. Every rank has to
    call it at the same step: a loss over all ranks has collectives in its backward pass.

    Args:
        features: Image embeddings [B, d] that the losses were made of, part of their graph.
        losses: Scalars by name, already multiplied by their weights; their mean over ranks is the
            loss of the global batch.

    Returns:
        ``gradient_norm/<name>``: a detached float32 scalar, the same on every rank. 0 for a loss
        that does not depend on the features.
    """
    with torch.autocast(features.device.type, enabled=False):
        squares = [_square(features, loss) for loss in losses.values()]
    total = sum_over_ranks(torch.stack(squares))
    # A rank's gradient is of the sum of all ranks' losses, and the loss is their mean.
    norms = total.sqrt() / world_size()
    return {f"gradient_norm/{name}": norm for name, norm in zip(losses, norms, strict=True)}


def _square(features: Tensor, loss: Tensor) -> Tensor:
    """Square of the norm on this rank's rows."""
    gradient = None
    if loss.requires_grad and features.requires_grad:
        (gradient,) = torch.autograd.grad(loss, features, retain_graph=True, allow_unused=True)
    if gradient is None:
        return torch.zeros((), device=features.device)
    return gradient.float().square().sum()
