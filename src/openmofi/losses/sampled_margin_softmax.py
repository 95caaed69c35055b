"""Sampled margin softmax: cross entropy over cosines, on a random subset of the classes.

Choose the class subset, apply the margin, take the cross entropy. Pure tensors; who owns the class
rows and how they are updated is `openmofi.training.class_head`'s affair.
Sources: MOFI (arXiv 2306.07952) for the setting, PartialFC (arXiv 2010.05222) for the sampling.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from openmofi.losses.chunked_margin_softmax import chunked_sum
from openmofi.losses.margins import Margin, apply_margin

NO_LABEL = -1


@dataclass(frozen=True)
class ClassSample:
    """A subset of the classes.

    Args:
        classes: Class indices, ascending, int64 [n].
        targets: Where each sample's label stands in ``classes``, int64 [B]; -1 without a label.
    """

    classes: Tensor
    targets: Tensor


def choose_classes(
    labels: Tensor, num_classes: int, sample_rate: float, generator: torch.Generator
) -> ClassSample:
    """Keep every class that occurs in ``labels`` and fill up with uniform negatives.

    The subset has ``floor(sample_rate * num_classes)`` classes, or as many as there are positives
    if they are more. Negatives are drawn without replacement, all classes being equally likely.

    Args:
        labels: int64 [B]; -1 means no label.
        num_classes: Classes in all.
        sample_rate: Share of the classes, over 0 to 1. At 1 every class is taken.
        generator: On the CPU, so that the subset is the same on every device.
    """
    if bool((labels >= num_classes).any()):
        raise ValueError(f"label {int(labels.max())} with {num_classes} classes")
    positives: Tensor = torch.unique(labels[labels >= 0])  # sorted
    quota = max(int(sample_rate * num_classes), len(positives))
    if quota >= num_classes:
        classes = torch.arange(num_classes, device=labels.device)
    else:
        # PartialFC's way: random scores, positives above all of them, the highest are taken.
        scores = torch.rand(num_classes, generator=generator)
        scores[positives.cpu()] = 2.0
        classes = torch.topk(scores, quota, sorted=False).indices.sort().values.to(labels.device)
    places = torch.searchsorted(classes, labels.clamp(min=0))
    return ClassSample(classes, torch.where(labels >= 0, places, NO_LABEL))


def margin_softmax(
    embeddings: Tensor,
    rows: Tensor,
    targets: Tensor,
    *,
    margin: Margin,
    scale: float,
    chunk: int | None = None,
) -> Tensor:
    """Mean cross entropy over ``scale`` times the cosines, less the margin, in float32.

    Args:
        embeddings: [B, d]; need not be normalised.
        rows: Class vectors [n, d]; need not be normalised.
        targets: Row of the own class, int64 [B]; samples with -1 do not count.
        margin: Of the own class.
        scale: Inverse temperature.
        chunk: Classes at once. More than that are gone through in chunks, twice, and logits never
            stand whole in memory: [B, chunk] instead of several of [B, n]. ``None``: all at once.

    Returns:
        A scalar: the mean over the samples that have a label, 0 if none has.
    """
    images = functional.normalize(embeddings.float(), dim=-1)
    if chunk is not None and len(rows) > chunk:
        total = chunked_sum(images, rows, targets, margin, scale, chunk)
    else:
        centres = functional.normalize(rows.float(), dim=-1)
        logits = scale * apply_margin(images @ centres.T, targets, margin)
        total = functional.cross_entropy(logits, targets, ignore_index=NO_LABEL, reduction="sum")
    return total / (targets >= 0).sum().clamp(min=1)
