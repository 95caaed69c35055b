"""One rank's gradient norms on gloo."""

from pathlib import Path

import torch
from torch import Tensor, distributed
from torch.nn import functional

from openmofi.losses.contrastive import contrastive_loss
from openmofi.losses.margin_softmax import TakenRows, margin_softmax
from openmofi.losses.margins import Margin
from openmofi.losses.ranks import gather_rows
from openmofi.training.class_head import class_block
from openmofi.training.gradient_norms import gradient_norms

BATCH, DIM, CLASSES = 12, 6, 10


def norms(rank: int, ranks: int) -> tuple[dict[str, Tensor], list[Tensor | None]]:
    """Of both losses over this rank's rows; and what the leaves then hold."""
    mine = slice(rank * BATCH // ranks, (rank + 1) * BATCH // ranks)
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(BATCH, DIM, generator=generator)
    texts = functional.normalize(torch.randn(BATCH, DIM, generator=generator), dim=1)[mine]
    classes = torch.randn(CLASSES, DIM, generator=generator)
    labels = torch.randint(-1, CLASSES, (BATCH,), generator=generator)

    inputs = whole[mine].clone().requires_grad_()
    features = functional.normalize(inputs, dim=1)
    log_scale = torch.tensor(1.5, requires_grad=True)
    block = class_block(CLASSES, rank, ranks)
    taken = TakenRows.of(classes[block.start : block.stop], torch.arange(len(block)))
    everyone = gather_rows(labels[mine])
    here = (everyone >= block.start) & (everyone < block.stop)
    supervised = margin_softmax(
        features,
        taken,
        torch.where(here, everyone - block.start, -1),
        margin=Margin(cosine=0.15),
        scale=8.0,
        chunk=3,
        labels=everyone,
    )
    losses = {
        "supervised": 0.1 * supervised,
        "contrastive": 0.9 * contrastive_loss(features, texts, log_scale, chunk=2),
    }
    result = gradient_norms(features, losses)
    untouched = [inputs.grad, log_scale.grad, taken.leaf.grad]
    torch.stack(list(losses.values())).sum().backward()  # the graph is still there
    assert inputs.grad is not None
    assert taken.leaf.grad is not None
    return result, untouched


def main(rank: int, ranks: int, folder: Path) -> None:
    """Save the norms of one of so many ranks as ``<rank>.pt``."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks
    )
    torch.save(norms(rank, ranks)[0], folder / f"{rank}.pt")
    distributed.destroy_process_group()
