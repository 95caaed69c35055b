"""One rank of a two-rank contrastive loss on gloo: `two_rank_contrastive.py RANK FOLDER`."""

import sys
from pathlib import Path

import torch
from torch import distributed
from torch.nn import functional

from openmofi.losses.contrastive import contrastive_loss

BATCH, DIM = 10, 6


def main(rank: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    mine = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    rows = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        whole = functional.normalize(torch.randn(BATCH, DIM, generator=generator), dim=1)
        rows.append(whole[mine].clone().requires_grad_())
    log_scale = torch.tensor(1.5, requires_grad=True)
    groups = (torch.arange(BATCH) % 4 - 1)[mine]
    loss = contrastive_loss(rows[0], rows[1], log_scale, groups)
    loss.backward()
    result = {
        "loss": loss.detach(),
        "images": rows[0].grad,
        "texts": rows[1].grad,
        "log_scale": log_scale.grad,
    }
    torch.save(result, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
