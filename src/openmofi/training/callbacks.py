"""What happens between steps: a line for the person who watches, metrics, checkpoints."""

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from openmofi.losses.ranks import world_size
from openmofi.progress import say
from openmofi.store_wait import StoreWait, apart, blocked_on
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.metrics_queue import LogMetrics

_SECONDS_BETWEEN_LINES = 5.0
EPOCHS = "train/epochs"  # in all that is logged


class ProgressLog(pl.Callback):
    """Says where the run is every few seconds, and logs means of the losses every few steps.

    Args:
        name: Of the run, for the person.
        log: Called with metrics and the number of steps done.
        max_steps: Of the whole run.
        samples_a_step: For the rate.
        samples: In the data set, for the epochs.
        log_every: Steps between two calls of ``log``.
        waited: What this process has waited for the store so far.
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
        waited: StoreWait,
    ) -> None:
        self._name = name
        self._log = log
        self._max_steps = max_steps
        self._samples_a_step = samples_a_step
        self._samples = samples
        self._log_every = log_every
        self._waited, self._waited_before = waited, 0.0
        self._sums: dict[str, Tensor] = {}
        self._steps = 0  # in the sums
        self._since = self._said = 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Start the clock."""
        self._since = self._said = time.monotonic()
        self._waited_before = self._waited.total

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
        seconds = max(now - self._since, 1e-9)
        means = module.mean_losses(self._sums)
        losses = {name: value.item() / self._steps for name, value in means.items()}
        metrics = {f"train/{name}": value for name, value in losses.items()}
        metrics |= {f"train/{name}": value.item() for name, value in module.last_norms.items()}
        metrics["train/learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        metrics["train/logit_scale"] = module.backbone.logit_scale.exp().item()
        metrics["train/samples_per_second"] = self._steps * self._samples_a_step / seconds
        metrics["train/store_wait"] = (self._waited.total - self._waited_before) / seconds
        metrics[EPOCHS] = module.step * self._samples_a_step / self._samples
        if trainer.is_global_zero:
            self._tell(metrics, losses, module.step, now)
        self._sums, self._steps, self._since = {}, 0, time.monotonic()
        self._waited_before = self._waited.total

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

    A thread brings a checkpoint to the store while training goes on; the next one waits for it. So
    there is one at most that is not yet in the store, in temporary files. Several ranks wait for
    theirs. What the thread raises is raised at the next step.

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
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._storing: Future[tuple[None, StoreWait]] | None = None

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
            self._save(module, trainer.optimizers[0])
        elif self._storing is not None and self._storing.done():
            self._settle()
        if module.stops and module.step < self._last:
            self._settle()
            raise ToldToStop

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Wait for the last checkpoint: what comes next reads them, or removes them."""
        self._settle()

    def _save(self, module: Any, optimizer: Any) -> None:
        self._settle()
        if world_size() > 1:
            self._checkpoints.save(module, optimizer)
            return
        self._storing = self._pool.submit(apart, self._checkpoints.prepare(module, optimizer))

    def _settle(self) -> None:
        """The checkpoint that is under way is in the store after this, or its error is raised."""
        storing, self._storing = self._storing, None
        if storing is not None:
            blocked_on(storing)
