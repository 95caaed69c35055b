"""The LightningModule: a backbone, a list of objectives, one image forward for all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from openmofi.errors import OpenMofiError
from openmofi.losses.contrastive import cap_logit_scale_
from openmofi.training.data import Batch
from openmofi.training.objectives import Objective

_PIXEL_MAXIMUM = 255.0


class LossNotFiniteError(OpenMofiError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Optimisation:
    """AdamW with a cosine schedule.

    Args:
        learning_rate: The peak, reached after ``warmup_steps``; zero at ``max_steps``.
        clip_norm: Bound on the norm of all gradients together, class rows included.
    """

    learning_rate: float
    warmup_steps: int
    max_steps: int
    weight_decay: float
    betas: tuple[float, float]
    clip_norm: float | None

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.max_steps - self.warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class EmbeddingModule(pl.LightningModule):
    """Trains a backbone on a list of objectives, by manual optimisation.

    The class rows are no parameters (see `openmofi.training.class_head`): this module ties their
    updates to the backbone's. A step takes ``accumulate`` batches; gradients are of the mean of
    their losses; the norm that is clipped runs over backbone and class rows together.

    Args:
        backbone: An open_clip model.
        objectives: At least one.
        optimisation: See there.
        pixel_mean: Of each channel, 0 to 1.
        pixel_std: The same.
        first_step: Where the run goes on.
    """

    pixel_scale: Tensor
    pixel_shift: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        objectives: Sequence[Objective],
        optimisation: Optimisation,
        *,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        first_step: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.backbone: Any = backbone.to(memory_format=torch.channels_last)
        self.objectives = list(objectives)
        self.step = first_step
        self.last_losses: dict[str, Tensor] = {}
        self._optimisation = optimisation
        scale = torch.tensor(list(pixel_std)) * _PIXEL_MAXIMUM
        shift = torch.tensor(list(pixel_mean)) * _PIXEL_MAXIMUM
        self.register_buffer("pixel_scale", scale[:, None, None], persistent=False)
        self.register_buffer("pixel_shift", shift[:, None, None], persistent=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; weight decay on matrices and kernels alone."""
        trained = [p for p in self.backbone.parameters() if p.requires_grad]
        groups = [
            {
                "params": [p for p in trained if p.ndim >= 2],
                "weight_decay": self._optimisation.weight_decay,
            },
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        # Fused: one pass over memory. With a vocabulary of 49,408 words the plain loop takes a
        # quarter of the tiny backbone's step on a CPU.
        return torch.optim.AdamW(
            groups, lr=self._optimisation.learning_rate, betas=self._optimisation.betas, fused=True
        )

    def on_fit_start(self) -> None:
        """Bring the class rows to the backbone's device."""
        for objective in self.objectives:
            if objective.head is not None:
                objective.head.to(self.device)

    def training_step(self, batches: list[Batch], _: int) -> None:
        """One update, from ``accumulate`` batches."""
        torch.manual_seed(batches[0].seed)  # for dropout and the like, if the backbone has any
        sums: dict[str, Tensor] = {}
        for batch in batches:
            losses = self._losses(batch)
            weighted = [o.weight * losses[o.name] for o in self.objectives]
            total = torch.stack(weighted).sum()
            self.manual_backward(total / len(batches))
            for name, value in {**losses, "loss": total}.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach()
        self.last_losses = {name: value / len(batches) for name, value in sums.items()}
        self._stop_if_not_finite(batches)
        self._update()
        self.step += 1

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        pixels = batch.images.to(self.pixel_shift.dtype, memory_format=torch.channels_last)
        images = (pixels - self.pixel_shift) / self.pixel_scale
        features = self.backbone.encode_image(images, normalize=True)
        return {o.name: o.loss(features, batch, self.backbone) for o in self.objectives}

    def _stop_if_not_finite(self, batches: list[Batch]) -> None:
        """Before the update, so that a checkpoint never holds spoilt weights."""
        if bool(torch.isfinite(self.last_losses["loss"])):
            return
        values = ", ".join(f"{name} {value.item()}" for name, value in self.last_losses.items())
        uids = " ".join(uid for batch in batches for uid in batch.uids)
        raise LossNotFiniteError(
            f"train: the loss is not finite at step {self.step} ({values}); uids of its samples: "
            f"{uids}"
        )

    def _update(self) -> None:
        rate = self._optimisation.rate(self.step)
        optimizer: Any = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = rate
        self._clip()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for objective in self.objectives:
            if objective.head is not None:
                objective.head.step(rate * objective.learning_rate_factor)
        cap_logit_scale_(self.backbone.logit_scale)

    def _clip(self) -> None:
        if self._optimisation.clip_norm is None:
            return
        gradients = [p.grad for p in self.backbone.parameters() if p.grad is not None]
        gradients += [o.head.gradient() for o in self.objectives if o.head is not None]
        norm = nn.utils.get_total_norm(gradients)
        factor = (self._optimisation.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)
