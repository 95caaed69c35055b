"""What happens between steps: a line for the person who watches, metrics, checkpoints."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from openmofi.progress import say
from openmofi.training.checkpoint import Checkpoints

_SECONDS_BETWEEN_LINES = 5.0

LogMetrics = Callable[[dict[str, float], int], None]


class ProgressLog(pl.Callback):
    """Says where the run is every few seconds, and logs means of the losses every few steps.

    Args:
        name: Of the run, for the person.
        log: Called with metrics and the number of steps done.
        max_steps: Of the whole run.
        samples_a_step: For the rate.
        samples: In the data set, for the epochs.
        log_every: Steps between two calls of ``log``.
    """

    def __init__(
        self,
        name: str,
        log: LogMetrics,
        *,
        max_steps: int,
        samples_a_step: int,
        samples: int,
        log_every: int,
    ) -> None:
        self._name = name
        self._log = log
        self._max_steps = max_steps
        self._samples_a_step = samples_a_step
        self._samples = samples
        self._log_every = log_every
        self._sums: dict[str, Tensor] = {}
        self._steps = 0  # in the sums
        self._since = self._said = 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Start the clock."""
        self._since = self._said = time.monotonic()

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the step's losses up; log and say where it is due."""
        for name, value in module.last_losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1
        if module.step % self._log_every and module.step != self._max_steps:
            return
        now = time.monotonic()
        rate = self._steps * self._samples_a_step / max(now - self._since, 1e-9)
        losses = {name: value.item() / self._steps for name, value in self._sums.items()}
        metrics = {f"train/{name}": value for name, value in losses.items()}
        metrics["train/learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        metrics["train/logit_scale"] = module.backbone.logit_scale.exp().item()
        metrics["train/samples_per_second"] = rate
        metrics["train/epochs"] = module.step * self._samples_a_step / self._samples
        self._log(metrics, module.step)
        if now - self._said >= _SECONDS_BETWEEN_LINES or module.step == self._max_steps:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            say(
                f"{self._name}: step {module.step}/{self._max_steps}, {shown}, {rate:.0f} samples/s"
            )
            self._said = now
        self._sums, self._steps, self._since = {}, 0, time.monotonic()


class CheckpointWriter(pl.Callback):
    """Resumes a run, saves it every few steps, and when it is told to stop.

    Args:
        checkpoints: Of the run's recipe.
        every: Steps between two checkpoints.
        last: After this step the model itself is written, and no checkpoint is due.
    """

    def __init__(self, checkpoints: Checkpoints, *, every: int, last: int) -> None:
        self._checkpoints = checkpoints
        self._every = every
        self._last = last

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Load the state of ``module.step``, if that is not the beginning."""
        if module.step:
            self._checkpoints.load(module, trainer.optimizers[0])

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is due. Lightning notes SIGTERM and stops after this call."""
        due = module.step % self._every == 0 and module.step < self._last
        if due or trainer.received_sigterm:
            self._checkpoints.save(module, trainer.optimizers[0])
