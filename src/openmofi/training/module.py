"""The LightningModule: a backbone, a list of objectives, one image forward for all of them."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed, nn

from openmofi.errors import OpenMofiError
from openmofi.losses.contrastive import cap_logit_scale_
from openmofi.losses.ranks import is_distributed, sum_over_ranks, world_size
from openmofi.training.data import Batch
from openmofi.training.ema import AveragedWeights
from openmofi.training.gradient_norms import gradient_norms
from openmofi.training.objectives import Objective
from openmofi.training.optimisation import Optimisation, clip_gradients

_PIXEL_MAXIMUM = 255.0


class LossNotFiniteError(OpenMofiError):
    """The loss became NaN or infinite."""


class EmbeddingModule(pl.LightningModule):
    """Trains a backbone on a list of objectives, by manual optimisation.

    The class rows are no parameters (see `openmofi.training.class_head`): this module ties their
    updates to the backbone's. A step takes ``accumulate`` batches; gradients are of the mean of
    their losses; the norm that is clipped runs over backbone and class rows together. On several
    ranks each has its rows of the batches and its class rows; DDP averages the backbone's
    gradients, to which the objectives fit theirs.

    Attributes:
        step: Updates done.
        told_to_stop: Set by whoever wants an end, on any rank.
        stops: Whether some rank was told to stop before this step ended; the same on all.

    Args:
        backbone: An open_clip model.
        objectives: At least one.
        optimisation: See there.
        pixel_mean: Of each channel, 0 to 1.
        pixel_std: The same.
        first_step: Where the run goes on.
        ema_decay: Of the backbone's average, see `AveragedWeights`; None: there is none.
        log_every: Steps between two looks at the objectives' gradients.
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
        ema_decay: float | None = None,
        log_every: int = 10,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.backbone: Any = backbone.to(memory_format=torch.channels_last)
        self.objectives = list(objectives)
        self.step = first_step
        self.told_to_stop = self.stops = False
        self.last_losses: dict[str, Tensor] = {}
        self.last_norms: dict[str, Tensor] = {}  # of gradients on the embedding; see `log_every`
        self.average = AveragedWeights(self.backbone, ema_decay) if ema_decay else None
        self._log_every = log_every
        self._optimisation = optimisation
        scale = torch.tensor(list(pixel_std)) * _PIXEL_MAXIMUM
        shift = torch.tensor(list(pixel_mean)) * _PIXEL_MAXIMUM
        self.register_buffer("pixel_scale", scale[:, None, None], persistent=False)
        self.register_buffer("pixel_shift", shift[:, None, None], persistent=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """See `Optimisation`."""
        return self._optimisation.optimizer(self.backbone.parameters())

    def on_fit_start(self) -> None:
        """Bring the class rows to the backbone's device."""
        for objective in self.objectives:
            if objective.head is not None:
                objective.head.to(self.device)

    def training_step(self, batches: list[Batch], _: int) -> None:
        """One update, from ``accumulate`` batches."""
        torch.manual_seed(batches[0].seed)  # for dropout and the like, if the backbone has any
        sums: dict[str, Tensor] = {}
        self.last_norms = {}
        for batch in batches:
            features = self._features(batch)
            losses = {o.name: o.loss(features, batch, self.backbone) for o in self.objectives}
            weighted = {o.name: o.weight * losses[o.name] for o in self.objectives}
            if batch is batches[0] and (self.step + 1) % self._log_every == 0:
                self.last_norms = gradient_norms(features, weighted)
            total = torch.stack(list(weighted.values())).sum()
            # Within autocast the losses' float32 products would be bfloat16 on the way back.
            with torch.autocast(self.device.type, enabled=False):
                self.manual_backward(total / len(batches))
            for name, value in {**losses, "loss": total}.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach()
        self.last_losses = {name: value / len(batches) for name, value in sums.items()}
        self._agree(batches)
        self._update()
        self.step += 1

    def mean_losses(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The mean over ranks of each; every rank must ask at the same step."""
        values = sum_over_ranks(torch.stack(list(losses.values()))) / world_size()
        return dict(zip(losses, values, strict=True))

    def _features(self, batch: Batch) -> Tensor:
        """Unit vectors float32 [B, d]; rounded ones would be a little longer or shorter than 1."""
        pixels = batch.images.to(self.pixel_shift.dtype, memory_format=torch.channels_last)
        images = (pixels - self.pixel_shift) / self.pixel_scale
        return nn.functional.normalize(self.backbone.encode_image(images).float(), dim=-1)

    def _agree(self, batches: list[Batch]) -> None:
        """What one rank alone knows and all must: that a loss is spoilt, that the run shall end.

        Before the update, so that a checkpoint never holds spoilt weights.
        """
        spoilt = ~torch.isfinite(self.last_losses["loss"])
        told = torch.full_like(spoilt, self.told_to_stop)
        flags = sum_over_ranks(torch.stack([spoilt, told]).int()).tolist()
        self.stops = bool(flags[1])
        if not flags[0]:
            return
        values = ", ".join(f"{name} {value.item()}" for name, value in self.last_losses.items())
        uids = " ".join(_of_all_ranks([uid for batch in batches for uid in batch.uids]))
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
        if self.average is not None:
            self.average.update(self.backbone)

    def _clip(self) -> None:
        if self._optimisation.clip_norm is not None:
            shared = [p.grad for p in self.backbone.parameters() if p.grad is not None]
            own = [o.head.gradient() for o in self.objectives if o.head is not None]
            clip_gradients(shared, own, self._optimisation.clip_norm)


def _of_all_ranks(names: list[str]) -> list[str]:
    if not is_distributed():
        return names
    parts: list[list[str]] = [[] for _ in range(world_size())]
    distributed.all_gather_object(parts, names)
    return [name for part in parts for name in part]
