"""Samples a second of the tiny recipes: our module and data path beside a bare PyTorch loop.

Run: python -m benchmarks.training_overhead [--recipes demo-clip demo-multitask] [--steps 210]
     [--rounds 5] [--threads 2] [--workers N]

The pictures are the demo's, drawn here: JPEGs of 72 to 96 x 64 to 88 pixels in tars, each read once
in a round, so that no cache of decoded pictures helps. Three arms take turns in each round:

* ours: what `openmofi train` runs, `EmbeddingModule` under Lightning with the data path, metrics
  to MLflow (SQLite) and checkpoints as often as the recipe says;
* memory: a bare open_clip and PyTorch loop (`benchmarks.training_bare`) over normalised tensors and
  tokens that lie in memory; same model, loss, optimiser, schedule and clipping, nothing written;
* jpegs: that loop with a torch DataLoader that reads the same JPEGs by Pillow, cut to the same
  crops, with as many workers.

Order, crops and texts are the same in all three, and losses are compared first. Each arm's clock
runs from the end of step 10 to the end of the last: start-up is out, logging and checkpoints in
between are in. Ratios are of medians over rounds, with 95 % intervals (bootstrap). Goals: 0.95
of memory, 0.95 of jpegs.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.text_labels import ratio_interval
from benchmarks.training_bare import BareRun, Pictures, Sample, Step, read_steps
from benchmarks.training_pictures import Place, write_shards
from openmofi.config import parse_config, read_yaml
from openmofi.errors import InputError
from openmofi.models.backbones import create_tokenizer
from openmofi.tracking import TrackedRun, tracked_run
from openmofi.training import run as training_run
from openmofi.training.augmentation import Augmentation
from openmofi.training.building import RunPlan, build_data, build_module, plan_run
from openmofi.training.checkpoint import Checkpoints
from openmofi.training.config import TrainConfig
from openmofi.training.metrics_queue import MetricsQueue
from openmofi.training.shards import TrainingShards, open_shards
from openmofi.training.texts import SampleTexts
from openmofi.training.trainer import ALONE
from openmofi.versions import read_manifest
from openmofi.workers import usable_cores

_LEFT_OUT = 10  # steps before the clock starts
# Of a loss, in the first steps and in all: sums are taken in another order, and training makes a
# last bit of difference a hundred times as large in some ten steps. Without the clipping of class
# rows, or with another bias correction, the third step is 4e-5 apart; as it is, 1e-6 in five.
_EARLY, _TOLERANCE_EARLY, _TOLERANCE = 5, 1e-5, 5e-2
_CONFIGS = Path(__file__).parents[1] / "configs" / "training"
Trace = list[tuple[float, float]]  # time and loss after some steps


class Race:
    """A recipe and the three arms.

    Args:
        plan: Of the run.
        shards: Of `benchmarks.training_pictures`.
        places: Of the JPEGs, by uid.
        tracked: Where ours logs to.
    """

    def __init__(
        self, plan: RunPlan, shards: TrainingShards, places: dict[str, Place], tracked: TrackedRun
    ) -> None:
        self.plan, self.shards, self.tracked = plan, shards, tracked
        module = build_module(plan, shards, first_step=0)
        with recorded(Augmentation, "crop_box") as boxes, recorded(SampleTexts, "text") as texts:
            data = build_data(plan, shards, module)
            batches = [batch for i in range(plan.settings.max_steps) for batch in data[i]]
        uids = [uid for batch in batches for uid in batch.uids]
        self.samples = [
            Sample(places[uid], box, text)
            for uid, box, text in zip(uids, boxes, texts, strict=True)
        ]
        scale, shift = module.pixel_scale, module.pixel_shift
        self.steps = [
            Step((b.images - shift) / scale, *b.tokens.values(), b.labels, b.seed) for b in batches
        ]

    def ours(self, steps: int, log_every: int | None = None) -> Trace:
        changes = {"max_steps": steps} | ({"log_every": log_every} if log_every else {})
        plan = replace(self.plan, settings=self.plan.settings.model_copy(update=changes))
        trace: Trace = []

        with MetricsQueue(self.tracked.log_metrics) as queue:

            def log(metrics: dict[str, float], step: int) -> None:
                trace.append((time.perf_counter(), metrics["train/loss"]))
                queue(metrics, step)

            training_run._fit(plan, self.shards, ALONE, log)
        Checkpoints(plan.manifest.store, plan.recipe).remove()
        return trace

    def memory(self, steps: int) -> Trace:
        return list(self._bare(steps).run(self.steps[:steps]))

    def jpegs(self, steps: int) -> Trace:
        known = self.steps[:steps]
        count = len(known) * len(known[0].labels)
        tokenizer = create_tokenizer(self.plan.settings.backbone)
        pictures = Pictures(self.samples[:count], tokenizer, self.plan.preprocess_config)
        workers = self.plan.settings.workers
        return list(self._bare(steps).run(read_steps(pictures, known, workers)))

    def _bare(self, steps: int) -> BareRun:
        module = build_module(self.plan, self.shards, first_step=0)
        heads = [one.head for one in module.objectives if one.head is not None]
        config = {**self.plan.settings.model_dump(mode="json"), "max_steps": steps}
        return BareRun(module.backbone, heads[0].rows if heads else None, config)


@contextlib.contextmanager
def recorded(kind: type, name: str) -> Iterator[list[Any]]:
    """What a method gives, call by call, for the block's time."""
    method: Callable[..., Any] = getattr(kind, name)
    found: list[Any] = []

    def recording(*args: Any, **options: Any) -> Any:
        found.append(method(*args, **options))
        return found[-1]

    setattr(kind, name, recording)
    try:
        yield found
    finally:
        setattr(kind, name, method)


def compare(race: Race, steps: int) -> None:
    """Tell how far the losses of the arms are apart; stop if that is no rounding."""
    ours = np.array([loss for _, loss in race.ours(steps, log_every=1)])
    for name, arm in (("memory", race.memory), ("jpegs", race.jpegs)):
        bare = np.array([loss for _, loss in arm(steps)])
        assert len(ours) == len(bare) == steps
        apart = np.abs(bare / ours - 1)
        early, late = float(apart[:_EARLY].max()), float(apart.max())
        print(
            f"  losses of {name} and ours: {early:.1e} apart in {_EARLY} steps, {late:.1e} in all"
        )
        assert early < _TOLERANCE_EARLY, f"ours and {name} differ: {ours}, {bare}"
        assert late < _TOLERANCE, f"ours and {name} differ: {ours}, {bare}"
    print(f"  loss {ours[0]:.4f} at first, {ours[-1]:.4f} after {steps} steps")


def measure(race: Race, rounds: int) -> None:
    """Interleaved rounds of the three arms, and what came out."""
    steps, size = race.plan.settings.max_steps, race.plan.settings.batch_size
    seconds: dict[str, list[float]] = {"ours": [], "memory": [], "jpegs": []}
    for number in range(rounds):
        names = list(seconds)
        for name in names[number % 3 :] + names[: number % 3]:
            trace = getattr(race, name)(steps)
            start = 0 if name == "ours" else _LEFT_OUT - 1  # ours tells every tenth step
            seconds[name].append(trace[-1][0] - trace[start][0])
    samples = (steps - _LEFT_OUT) * size
    for name, times in seconds.items():
        rates = [samples / one for one in times]
        print(
            f"  {name:7} samples/s {np.median(rates):7.1f} median, {max(rates):7.1f} best; "
            f"seconds {np.median(times):6.2f} median, {min(times):6.2f} least"
        )
    for name in ("memory", "jpegs"):
        low, ratio, high = ratio_interval(seconds[name], seconds["ours"])
        print(f"  ours is {ratio:.3f} ({low:.3f} to {high:.3f}) times as fast as {name}")


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    plans = [_settings(name, options) for name in options.recipes]
    size = max(settings.batch_size * settings.accumulate for _, settings in plans)
    with tempfile.TemporaryDirectory(prefix="openmofi-overhead-") as temporary:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{temporary}/mlflow.db"
        uri, places = write_shards(Path(temporary, "root"), options.steps * size)
        manifest = read_manifest(uri, "training_shards")
        print(f"{len(places)} JPEGs, torch {torch.__version__}, threads {options.threads}")
        for name, settings in plans:
            print(f"{name}: {options.steps} steps of {size}, workers {settings.workers}")
            run = tracked_run("overhead", pipeline_run="", tags={}, params={})
            with open_shards(manifest) as shards, run as tracked:
                race = Race(plan_run(settings, manifest, name), shards, places, tracked)
                with _silence():
                    compare(race, options.compare)
                    measure(race, options.rounds)


def _settings(name: str, options: argparse.Namespace) -> tuple[str, TrainConfig]:
    config = {**read_yaml(_CONFIGS / f"{name}.yaml"), "max_steps": options.steps}
    if options.workers is not None:
        config["workers"] = options.workers
    settings = parse_config(TrainConfig, config, where=name)
    if settings.accumulate > 1 or settings.log_every != _LEFT_OUT:
        raise InputError(f"{name}: this measures accumulate 1 and log_every {_LEFT_OUT} only")
    return name, settings


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Progress lines are written, to nowhere."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=["demo-clip", "demo-multitask"])
    parser.add_argument("--steps", type=int, default=210, help="of a run, the first 10 untimed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores(), help="of torch")
    parser.add_argument("--workers", type=int, help="that decode (default: the recipe's)")
    parser.add_argument("--compare", type=int, default=40, help="steps whose losses must agree")
    return parser.parse_args()


if __name__ == "__main__":
    main()
