"""Lightning for devices, precision and ranks; logging, progress and checkpoints are ours."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from openmofi.errors import InputError
from openmofi.training.config import TrainConfig
from openmofi.training.data import share_of_batch

_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed"}


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together, as torchrun's environment has it."""

    rank: int = 0
    world_size: int = 1
    on_this_node: int = 1

    @classmethod
    def from_environment(cls, batch_size: int) -> "Ranks":
        """Read RANK, WORLD_SIZE and LOCAL_WORLD_SIZE.

        Args:
            batch_size: Of a global batch, of which each rank takes the same share.

        Raises:
            InputError: The ranks do not divide the batch, or torchrun did not start this process.
        """
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        if world_size == 1:
            return cls()
        if "RANK" not in os.environ or not torch.distributed.is_torchelastic_launched():
            raise InputError(
                f"train: WORLD_SIZE is {world_size}, but torchrun did not start this process; use "
                f"torchrun --nproc-per-node {world_size} -m openmofi train …, or unset WORLD_SIZE"
            )
        share_of_batch(batch_size, world_size)
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
        return cls(int(os.environ["RANK"]), world_size, local)

    def rows(self, batch_size: int) -> range:
        """This rank's rows of a global batch."""
        share = share_of_batch(batch_size, self.world_size)
        return range(self.rank * share, (self.rank + 1) * share)

    @property
    def is_first(self) -> bool:
        """Whether this one speaks, logs and writes for all."""
        return self.rank == 0


ALONE = Ranks()


def make_trainer(settings: TrainConfig, callbacks: list[pl.Callback], ranks: Ranks) -> pl.Trainer:
    """A trainer whose loader ends the run."""
    several = ranks.world_size > 1
    return pl.Trainer(
        accelerator="auto",
        devices=ranks.on_this_node,
        num_nodes=ranks.world_size // ranks.on_this_node,
        strategy="ddp" if several else "auto",
        use_distributed_sampler=False,  # the batches are this rank's already
        precision=_PRECISION[settings.precision],
        max_epochs=1,  # one pass of the loader, which ends at max_steps
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hold back its remarks about devices and about worker processes, which are chosen here."""
    loggers = [
        logging.getLogger(f"pytorch_lightning{part}") for part in ("", ".utilities.rank_zero")
    ]
    loggers.append(logging.getLogger("lightning_fabric"))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings(
                "ignore", message=".*LeafSpec.*"
            )  # torch 2.14 with Lightning 2.6
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
