"""The tiny recipes in plain PyTorch and open_clip: the loop that a person would write by hand.

Nothing of this package but the draw of the classes, which must be the same for the losses to be.
It has our choices of memory format and fused AdamW, so that what is left of a ratio is overhead.
"""

import io
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from benchmarks.training_pictures import Place
from openmofi.losses.class_sampling import choose_classes

_EPSILON = 1e-8


@dataclass(frozen=True)
class Sample:
    """What the data path decided about one sample of the run."""

    place: Place
    box: tuple[float, float, float, float]
    text: str


@dataclass(frozen=True)
class Step:
    """What a step takes: float32 [B, 3, H, W], int64 [B, context], int64 [B], and a seed."""

    pictures: Tensor
    tokens: Tensor
    labels: Tensor
    seed: int


class BareRun:
    """A model, its class rows and a loop.

    Args:
        model: An open_clip model with its initial weights.
        rows: Initial class rows [classes, dim]; None without the supervised objective.
        config: Of `TrainConfig`, as plain values.
    """

    def __init__(self, model: Any, rows: Tensor | None, config: Mapping[str, Any]) -> None:
        self.model = model.train()
        self.config = config
        self.objectives = {one["kind"]: one for one in config["objectives"]}
        if rows is not None:
            self.rows = rows.clone()
            self.moments = torch.zeros_like(rows), torch.zeros_like(rows)
            self.updates = torch.zeros(len(rows))
        decayed = [p for p in model.parameters() if p.ndim >= 2]
        others = [p for p in model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config["weight_decay"]},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=config["learning_rate"],
            betas=tuple(config["betas"]),
            fused=True,
        )
        self.clip_loss = open_clip.ClipLoss()
        self.taken: tuple[Tensor, Tensor] | None = None

    def run(self, steps: Iterable[Step]) -> Iterator[tuple[float, float]]:
        """Train; after each step the time and the loss."""
        for number, step in enumerate(steps):
            loss = self._step(step, self._rate(number))
            yield time.perf_counter(), loss

    def _rate(self, step: int) -> float:
        peak, warmup = self.config["learning_rate"], self.config["warmup_steps"]
        if step < warmup:
            return peak * (step + 1) / warmup
        done = (step - warmup) / (self.config["max_steps"] - warmup)
        return peak * (1 + math.cos(math.pi * done)) / 2

    def _step(self, step: Step, rate: float) -> float:
        pictures = step.pictures.to(memory_format=torch.channels_last)
        images = self.model.encode_image(pictures, normalize=True)
        texts = self.model.encode_text(step.tokens, normalize=True)
        loss = sum(
            one["weight"] * getattr(self, f"_{kind}")(images, texts, step)
            for kind, one in self.objectives.items()
        )
        loss.backward()
        leaves = [*self.model.parameters()] + ([self.taken[1]] if self.taken else [])
        nn.utils.clip_grad_norm_(leaves, self.config["clip_norm"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.taken:
            self._update_rows(rate)
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        return float(loss.detach())

    def _clip(self, images: Tensor, texts: Tensor, step: Step) -> Tensor:
        found: Tensor = self.clip_loss(images, texts, self.model.logit_scale.exp())
        return found

    def _contrastive(self, images: Tensor, texts: Tensor, step: Step) -> Tensor:
        same = (step.labels[:, None] == step.labels).fill_diagonal_(False)
        logits = (self.model.logit_scale.exp() * images @ texts.T).masked_fill(same, -math.inf)
        diagonal = torch.arange(len(images))
        there = functional.cross_entropy(logits, diagonal)
        return (there + functional.cross_entropy(logits.T, diagonal)) / 2

    def _supervised(self, images: Tensor, texts: Tensor, step: Step) -> Tensor:
        options = self.objectives["supervised"]
        generator = torch.Generator().manual_seed(step.seed)
        drawn = choose_classes(step.labels, len(self.rows), options["sample_rate"], generator)
        taken = self.rows[drawn.classes].requires_grad_()
        self.taken = drawn.classes, taken
        cosines = images @ functional.normalize(taken, dim=-1).T
        own = functional.one_hot(drawn.targets, len(taken))
        logits = options["scale"] * (cosines - options["margin"] * own)
        return functional.cross_entropy(logits, drawn.targets)

    @torch.no_grad()
    def _update_rows(self, rate: float) -> None:
        """Adam on the rows that were taken, each with its own number of updates."""
        assert self.taken is not None
        classes, taken = self.taken
        gradient = taken.grad
        assert gradient is not None
        (beta1, beta2), (first, second) = self.config["betas"], self.moments
        self.updates[classes] += 1
        first[classes] = beta1 * first[classes] + (1 - beta1) * gradient
        second[classes] = beta2 * second[classes] + (1 - beta2) * gradient**2
        count = self.updates[classes][:, None]
        mean = first[classes] / (1 - beta1**count)
        size = (second[classes] / (1 - beta2**count)).sqrt() + _EPSILON
        factor = self.objectives["supervised"]["learning_rate_factor"]
        self.rows[classes] -= rate * factor * mean / size


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Pillow, a crop, the mean and deviation of the pixels, open_clip's tokenizer.

    Args:
        samples: In the order of the run.
        tokenizer: open_clip's.
        preprocess: Size, mean and std of the model.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        tokenizer: Callable[[list[str]], Tensor],
        preprocess: Mapping[str, Any],
    ) -> None:
        self.samples = samples
        self.tokenizer = tokenizer
        self.size = (preprocess["size"], preprocess["size"])
        # As ours rounds them: a last bit more or less is a percent of the loss a hundred steps on.
        self.shift = torch.tensor(preprocess["mean"])[:, None, None] * 255
        self.scale = torch.tensor(preprocess["std"])[:, None, None] * 255
        self.files: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index]
        tar, offset, length = sample.place
        if tar not in self.files:
            self.files[tar] = tar.open("rb")
        self.files[tar].seek(offset)
        image = Image.open(io.BytesIO(self.files[tar].read(length))).convert("RGB")
        crop = image.resize(self.size, Image.Resampling.BICUBIC, box=sample.box)
        pixels = torch.from_numpy(np.array(crop)).permute(2, 0, 1)
        return (pixels - self.shift) / self.scale, self.tokenizer([sample.text])[0]


def read_steps(pictures: Pictures, known: Sequence[Step], workers: int) -> Iterator[Step]:
    """Steps whose pictures and tokens a torch DataLoader reads; labels and seeds are known."""
    size = len(known[0].labels)
    context = "fork" if workers else None
    loader = DataLoader(
        pictures, batch_size=size, num_workers=workers, multiprocessing_context=context
    )
    for (images, tokens), step in zip(loader, known, strict=True):
        yield Step(images, tokens, step.labels, step.seed)
