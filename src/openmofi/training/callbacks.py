"""What happens between steps: a line for the person who watches, metrics, checkpoints."""

import signal
import threading
import time
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from openmofi.losses.ranks import world_size
from openmofi.progress import say
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.metrics_queue import LogMetrics

_SECONDS_BETWEEN_LINES = 5.0


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
        means = module.mean_losses(self._sums)
        losses = {name: value.item() / self._steps for name, value in means.items()}
        metrics = {f"train/{name}": value for name, value in losses.items()}
        metrics |= {f"train/{name}": value.item() for name, value in module.last_norms.items()}
        metrics["train/learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        metrics["train/logit_scale"] = module.backbone.logit_scale.exp().item()
        metrics["train/samples_per_second"] = rate
        metrics["train/epochs"] = module.step * self._samples_a_step / self._samples
        if trainer.is_global_zero:
            self._tell(metrics, losses, module.step, now)
        self._sums, self._steps, self._since = {}, 0, time.monotonic()

    def _tell(
        self, metrics: dict[str, float], losses: dict[str, float], step: int, now: float
    ) -> None:
        self._log(metrics, step)
        if now - self._said >= _SECONDS_BETWEEN_LINES or step == self._max_steps:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            rate = metrics["train/samples_per_second"]
            say(f"{self._name}: step {step}/{self._max_steps}, {shown}, {rate:.0f} samples/s")
            self._said = now


class ToldToStop(Exception):  # noqa: N818 - no error: the run is saved and will go on
    """The run was told to stop, and has saved its state."""


class CheckpointWriter(pl.Callback):
    """Resumes a run, saves it every few steps, and when it is told to stop.

    Args:
        checkpoints: Of the run's recipe.
        every: Steps between two checkpoints.
        last: After this step the model itself is written; a single rank needs no checkpoint then,
            several have their class rows there for the one that writes.
    """

    def __init__(self, checkpoints: Checkpoints, *, every: int, last: int) -> None:
        self._checkpoints = checkpoints
        self._every = every
        self._last = last
        self._before: Any = None

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Load the state of ``module.step``, if that is not the beginning; listen for SIGTERM.

        Lightning's own handler stops the rank that got the signal at once, and the others would
        wait for it for ever; here the ranks agree at the next step.
        """
        if module.step:
            self._checkpoints.load(module, trainer.optimizers[0])

        def note(*_: Any) -> None:
            module.told_to_stop = True

        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, note)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is due.

        Raises:
            ToldToStop: The ranks agreed to.
        """
        due = module.step % self._every == 0 and module.step < self._last
        end = module.step == self._last and world_size() > 1
        if due or end or module.stops:
            self._checkpoints.save(module, trainer.optimizers[0])
        if module.stops and module.step < self._last:
            raise ToldToStop
