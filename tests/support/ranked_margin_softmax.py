"""One rank's losses and gradients on gloo."""

from pathlib import Path

import torch
from torch import distributed

from openmofi.losses.class_sampling import choose_classes
from openmofi.losses.margin_softmax import margin_softmax
from openmofi.losses.margins import Margin
from openmofi.losses.ranks import gather_ragged
from openmofi.training.class_head import ClassHead, class_block

BATCH, DIM, CLASSES = 8, 5, 11
CASES = {
    "fewer positives than ranks": [[3], [-1], [-1], [3], [-1], [-1], [-1], [-1]],
    "none": [[-1]] * BATCH,
    "all the same": [[10]] * BATCH,
    "one a sample": [[i] for i in range(BATCH)],
    "several a sample": [[0, 10], [4, -1], [-1, -1], [5, 6], [10, 1], [2, -1], [9, 0], [-1, -1]],
}
RATES = (1.0, 0.3, 0.01)


def compute(case: str, rate: float, rank: int, ranks: int) -> dict[str, torch.Tensor]:
    """Loss, gradient of this rank's images, and classes with the gradient of their rows."""
    mine = slice(rank * BATCH // ranks, (rank + 1) * BATCH // ranks)
    images = torch.randn(BATCH, DIM, generator=torch.Generator().manual_seed(1))[mine]
    images.requires_grad_()
    head = ClassHead(class_block(CLASSES, rank, ranks), DIM, seed=0)
    labels = gather_ragged(torch.tensor(CASES[case])[mine])
    sample = choose_classes(labels, CLASSES, rate, torch.Generator().manual_seed(2))
    sample = sample.within(head.block, labels)
    loss = margin_softmax(
        images,
        head.take(sample.classes),
        sample.targets,
        margin=Margin(0.2),
        scale=8.0,
        chunk=2,
        labels=labels,
    )
    loss.backward()
    assert images.grad is not None
    return {
        "loss": loss.detach(),
        "images": images.grad,
        "classes": sample.classes,
        "rows": head.gradient(),
    }


def main(rank: int, ranks: int, folder: Path) -> None:
    """Save what one of so many ranks finds as ``<rank>.pt``."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks
    )
    found = {f"{case} {rate}": compute(case, rate, rank, ranks) for case in CASES for rate in RATES}
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()
