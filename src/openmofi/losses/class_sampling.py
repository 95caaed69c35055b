"""Which classes a step compares with: all that occur in the batch, and random others.

Sources: MOFI (arXiv 2306.07952) for the setting, PartialFC (arXiv 2010.05222) for the sampling.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NO_LABEL = -1
FREQUENCY_POWER = 0.75  # word2vec's (arXiv 1310.4546): between uniform and proportional
_SEARCHES = 60


@dataclass(frozen=True)
class ClassSample:
    """A subset of the classes.

    Args:
        classes: Class indices, ascending, int64 [n].
        targets: Where each label stands in ``classes``, int64, of the labels' shape; -1 without
            a label, or where the label is not among these classes.
        offsets: What is subtracted from the logits of each class, float32 [n]; None: nothing.
    """

    classes: Tensor
    targets: Tensor
    offsets: Tensor | None = None

    def within(self, block: range, labels: Tensor) -> "ClassSample":
        """The part whose classes lie in ``block``."""
        bounds = torch.tensor([block.start, block.stop], device=self.classes.device)
        first, last = torch.searchsorted(self.classes, bounds).tolist()
        here = (labels >= block.start) & (labels < block.stop)
        return ClassSample(
            self.classes[first:last],
            torch.where(here, self.targets - first, NO_LABEL),
            None if self.offsets is None else self.offsets[first:last],
        )


def choose_classes(
    labels: Tensor,
    num_classes: int,
    sample_rate: float,
    generator: torch.Generator,
    inclusion: Tensor | None = None,
) -> ClassSample:
    """Keep every class that occurs in ``labels`` and fill up with negatives.

    Uniform negatives: the subset has ``floor(sample_rate * num_classes)`` classes, or as many as
    there are positives if they are more; negatives are drawn without replacement, all classes
    being equally likely. With ``inclusion`` each class is drawn by its own probability, apart
    from the others, so the subset's size varies a little.

    The draw is of all classes on every rank, so that it is the same for any number of ranks: 13 ms
    of one core for 2,000,000 classes, which is little beside the products with the drawn rows.

    Args:
        labels: int64, any shape, of all ranks; -1 means no label.
        num_classes: Classes in all.
        sample_rate: Share of the classes, over 0 to 1. At 1 every class is taken.
        generator: On the CPU, so that the subset is the same on every device.
        inclusion: Probabilities of `frequency_inclusion` [num_classes], on the CPU.

    Raises:
        ValueError: A label is beyond the classes.
    """
    if bool((labels >= num_classes).any()):
        raise ValueError(f"label {int(labels.max())} with {num_classes} classes")
    positives: Tensor = torch.unique(labels[labels >= 0])  # sorted
    quota = max(int(sample_rate * num_classes), len(positives))
    offsets = None
    if quota >= num_classes:
        classes = torch.arange(num_classes)
    elif inclusion is None:
        # PartialFC's way: random scores, positives above all of them, the highest are taken.
        scores = torch.rand(num_classes, generator=generator)
        scores[positives.cpu()] = 2.0
        classes = torch.topk(scores, quota, sorted=False).indices.sort().values
    else:
        drawn = torch.rand(num_classes, generator=generator) < inclusion
        drawn[positives.cpu()] = True
        classes = torch.nonzero(drawn).squeeze(1)
        offsets = (inclusion[classes] / sample_rate).log()
        offsets[torch.searchsorted(classes, positives.cpu())] = 0.0
        offsets = offsets.to(labels.device)
    return _sample(classes.to(labels.device), labels, offsets)


def _sample(classes: Tensor, labels: Tensor, offsets: Tensor | None) -> ClassSample:
    places = torch.searchsorted(classes, labels.clamp(min=0))
    return ClassSample(classes, torch.where(labels >= 0, places, NO_LABEL), offsets)


def frequency_inclusion(counts: Tensor, sample_rate: float) -> Tensor:
    """Probabilities of being drawn that grow with ``(counts + 1) ** 0.75``, float32 [classes].

    Their sum is ``sample_rate * classes``. The log of their ratio to ``sample_rate`` is taken off
    the logits of drawn negatives, so that the expected sum over the classes is that of uniform
    negatives, with less noise where frequent classes are the hard ones.

    Args:
        counts: Training images of each class [classes].
        sample_rate: Share of the classes, over 0 to 1.
    """
    weights = (counts.double() + 1) ** FREQUENCY_POWER
    wanted = sample_rate * len(weights)
    low, high = 0.0, float(len(weights) / weights.min())
    for _ in range(_SEARCHES):  # the sum grows with the factor, and 1 is the most for a class
        factor = (low + high) / 2
        if float((factor * weights).clamp(max=1).sum()) < wanted:
            low = factor
        else:
            high = factor
    return (high * weights).clamp(max=1).float()
