"""Training of two linear layers, under the real module and trainer, alone or on several ranks."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from openmofi.storage import open_store
from openmofi.training.callbacks import CheckpointWriter
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.class_head import ClassHead, class_block
from openmofi.training.config import ContrastiveConfig, SupervisedConfig, TrainConfig
from openmofi.training.data import Batch
from openmofi.training.module import EmbeddingModule
from openmofi.training.objectives import SupervisedObjective, TextObjective
from openmofi.training.optimisation import Optimisation
from openmofi.training.trainer import ALONE, Ranks, make_trainer, quiet_lightning

DIM, CLASSES, BATCH, STEPS = 6, 13, 24, 20
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


class LinearBackbone(nn.Module):
    """Pixels and token counts to unit vectors, without anything that depends on the batch."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.image = nn.Linear(3 * 4 * 4, DIM)
            self.text = nn.Embedding(50, DIM)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.image_calls = 0

    def encode_image(self, images: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        self.image_calls += 1
        return functional.normalize(self.image(images.flatten(1)), dim=1)

    def encode_text(self, tokens: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        return functional.normalize(self.text(tokens).mean(1), dim=1)


def make_batch(step: int, rows: slice | range = slice(None)) -> Batch:
    """Rows of a global batch that is a function of the step."""
    if isinstance(rows, range):
        rows = slice(rows.start, rows.stop)
    generator = torch.Generator().manual_seed(step)
    images = torch.randint(0, 256, (BATCH, 3, 4, 4), generator=generator, dtype=torch.uint8)
    sets = torch.randint(-1, CLASSES, (BATCH, 2), generator=generator)
    sets[sets[:, 0] == sets[:, 1], 1] = -1  # labels of a sample are distinct
    sets[0, 0], sets[BATCH // 2, 0] = 0, 1  # some label in each half
    tokens = torch.randint(0, 50, (BATCH, 3), generator=generator)
    return Batch(
        images=images[rows],
        labels=sets[rows, 0],
        label_sets=sets[rows],
        tokens={"contrastive": tokens[rows], "clip": tokens[rows]},
        uids=tuple(f"uid-{step}-{i}" for i in range(BATCH))[rows],
        seed=step,
    )


def optimisation(**changes: Any) -> Optimisation:
    options = {
        "learning_rate": 0.02,
        "warmup_steps": 5,
        "max_steps": STEPS,
        "weight_decay": 0.1,
        "betas": (0.9, 0.98),
        "clip_norm": 1.0,
        **changes,
    }
    return Optimisation(**options)


def supervised(ranks: Ranks = ALONE, **changes: Any) -> SupervisedObjective:
    options = {
        "sample_rate": 1.0,
        "margin": 0.15,
        "chunk": 2,  # of a handful of classes: more than one chunk
        "scale": 8.0,
        "learning_rate_factor": 2.0,
        **changes,
    }
    head = ClassHead(class_block(CLASSES, ranks.rank, ranks.world_size), DIM, seed=0)
    return SupervisedObjective(SupervisedConfig(**options), head, classes=CLASSES)


def contrastive() -> TextObjective:
    config = ContrastiveConfig(weight=0.9)
    return TextObjective("contrastive", config, {"name": 1.0}, mask_same_entity=True)


def make_module(objectives: list[Any], first_step: int = 0, **changes: Any) -> EmbeddingModule:
    return EmbeddingModule(
        LinearBackbone(),
        objectives,
        optimisation(**changes),
        pixel_mean=MEAN,
        pixel_std=STD,
        first_step=first_step,
    )


def run(
    module: EmbeddingModule,
    steps: list[list[Batch]],
    callbacks: list[pl.Callback] | None = None,
    ranks: Ranks = ALONE,
) -> None:
    with quiet_lightning():
        make_trainer(TrainConfig(), callbacks or [], ranks).fit(
            module, DataLoader(steps, batch_size=None, collate_fn=list)
        )


RECIPES: dict[str, dict[str, Any]] = {
    "whole": {"weight": 0.1},
    "sampled": {"weight": 0.1, "sample_rate": 0.5},
    "soft": {"weight": 0.1, "sample_rate": 0.6, "labels": "soft"},
}


def train_rank(folder: str, first: int, last: int, recipe: str, ranks: Ranks) -> None:
    """Two halves accumulated a step, a tight clip, and a checkpoint at the end.

    Args:
        folder: For checkpoints.
        first: Steps before this one are done.
        last: The last step, at which it saves.
        recipe: Of `RECIPES`.
        ranks: This process among those that train.
    """
    objectives = [supervised(ranks, **RECIPES[recipe]), contrastive()]
    module = make_module(objectives, first, clip_norm=0.3)
    mine = ranks.rows(BATCH)
    steps = [
        [make_batch(2 * step, mine), make_batch(2 * step + 1, mine)] for step in range(first, last)
    ]
    checkpoints = Checkpoints(open_store(folder), "recipe")
    run(module, steps, [CheckpointWriter(checkpoints, every=last, last=last + 1)], ranks)


def train_launched(folder: str, first: int, last: int, recipe: str) -> None:
    """The same, by a process that torchrun's agent has started."""
    train_rank(folder, first, last, recipe, Ranks.from_environment(BATCH))
