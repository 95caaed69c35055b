"""Margin softmax with all logits at once, as an oracle."""

import torch
from torch.nn import functional


def dense_margin_softmax(embeddings, rows, targets, *, margin, scale, offsets=None):
    """Targets int64 [B] or [B, K], -1 for none; the mean over samples that have one."""
    images = functional.normalize(embeddings.float(), dim=-1)
    cosines = images @ functional.normalize(rows.float(), dim=-1).T
    targets = targets[:, None] if targets.ndim == 1 else targets
    losses = []
    for row, own in zip(cosines, targets, strict=True):
        own = own[own >= 0]
        if not len(own):
            continue
        lowered = row[own] + (margin(row[own]) - row[own]) / len(own)
        logits = scale * row.index_put((own,), lowered)
        if offsets is not None:
            logits = logits - offsets
        # What is taken off for having been drawn is no part of what a sample is sure of.
        losses.append(torch.logsumexp(logits, 0) - scale * lowered.mean())
    return torch.stack(losses).mean()


def assert_same_gradients(ours, wanted, inputs, *, rtol=1e-4, atol=1e-6):
    """Of two losses, by each of the inputs."""
    for got, expected in zip(
        torch.autograd.grad(ours, inputs), torch.autograd.grad(wanted, inputs), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=rtol, atol=atol)
