"""Arms as processes of their own: so many at once, one result file each, found again later."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.claims.arms import ARMS, Arm, arm_of
from benchmarks.claims.config import ClaimsConfig
from openmofi.config import parse_config
from openmofi.errors import InputError, OpenMofiError
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.run import evaluate_model
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.files import write_text
from openmofi.keys import hash_json
from openmofi.progress import say
from openmofi.training.run import train_model

SHARDS = "training_shards.json"  # what the arms train on, in the experiment's folder
_POLL = 0.5  # seconds


@dataclass(frozen=True)
class Task:
    """One arm of one seed.

    Attributes:
        arm: Name, see `benchmarks.claims.arms`.
        seed: Of training.
        shards: URI of its training shards.
        training: `TrainConfig` as plain values.
        data: The held-out images.
        evaluate: `EvaluateConfig` as plain values.
        key: Digest of all that decides the result.
    """

    arm: str
    seed: int
    shards: str
    training: Mapping[str, Any]
    data: str
    evaluate: Mapping[str, Any]
    key: str

    @property
    def name(self) -> str:
        """As runs and files are called."""
        return f"{self.arm}-{self.seed}"


def read_shards(out: Path) -> dict[str, str]:
    """URIs of the training shards by the name of their data.

    Raises:
        InputError: They were not made yet.
    """
    path = out / SHARDS
    if not path.is_file():
        raise InputError(f"{path} is not there; run `make claims` first")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["shards"]
    return found


def plan(
    config: ClaimsConfig, shards: Mapping[str, str], data: str, arms: Sequence[Arm] = ARMS
) -> list[Task]:
    """All arms of the first seed, then of the next: a cut experiment has whole seeds."""
    evaluate = config.evaluate.model_dump(mode="json", exclude_unset=True)
    semantic = parse_config(EvaluateConfig, evaluate, where="claims").semantic()
    held_out = read_evaluation_data(data).images.digest
    tasks = []
    for seed in config.seeds:
        for arm in arms:
            training = config.train(arm.objectives, seed)
            key = hash_json([Path(shards[arm.data]).name, training, held_out, semantic])
            tasks.append(Task(arm.name, seed, shards[arm.data], training, data, evaluate, key))
    return tasks


def read_result(folder: Path, task: Task) -> dict[str, Any] | None:
    """What a task has found, if it is done and nothing that decides it has changed."""
    path = folder / f"{task.name}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if found["key"] == task.key else None


def run_task(task: Task, folder: Path) -> None:
    """Train and evaluate one arm, and write its result file last."""
    started = time.monotonic()
    model = train_model(task.shards, config=task.training, name=task.name)
    trained = time.monotonic()
    evaluation = evaluate_model(model, data=task.data, config=task.evaluate)
    result = {
        "key": task.key,
        "arm": task.arm,
        "title": arm_of(task.arm).title,
        "seed": task.seed,
        "model": model,
        "evaluation": evaluation,
        "seconds": {
            "training": round(trained - started, 1),
            "evaluation": round(time.monotonic() - trained, 1),
        },
    }
    write_text(json.dumps(result, indent=1) + "\n", folder / f"{task.name}.json")


class ArmError(OpenMofiError):
    """An arm's process ended without a result."""


def run_all(
    tasks: Sequence[Task], folder: Path, jobs: int, command: Callable[[Task], list[str]]
) -> None:
    """Run what has no result yet, ``jobs`` processes at once.

    Raises:
        ArmError: An arm failed; the others that ran beside it were ended, and go on next time.
    """
    todo = [task for task in tasks if read_result(folder, task) is None]
    say(f"claims: {len(tasks)} arms, {len(tasks) - len(todo)} done before, {jobs} at once")
    started, running, done = time.monotonic(), dict[str, subprocess.Popen[bytes]](), 0
    with _ended(running):
        while todo or running:
            while todo and len(running) < jobs:
                task = todo.pop(0)
                running[task.name] = _start(command(task), folder / f"{task.name}.log", jobs)
            for name in [one for one, process in running.items() if process.poll() is not None]:
                if running.pop(name).returncode:
                    raise ArmError(f"arm {name} failed; see {folder / f'{name}.log'}")
                done += 1
                left = (time.monotonic() - started) / done * (len(todo) + len(running))
                say(f"claims: {name} done; about {left / 60:.0f} minutes left")
            time.sleep(_POLL)


def _start(command: list[str], log: Path, jobs: int) -> "subprocess.Popen[bytes]":
    """A process with its share of the cores; what it says goes to a file."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as sink:
        return subprocess.Popen(
            [sys.executable, *command],
            stdout=sink,
            stderr=sink,
            env={**os.environ, "OMP_NUM_THREADS": threads},
            start_new_session=True,
        )


@contextlib.contextmanager
def _ended(running: Mapping[str, "subprocess.Popen[bytes]"]) -> Iterator[None]:
    """However the block is left, no process stays: a training that is told to stop saves first."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in running.values():
            process.wait()
        signal.signal(signal.SIGTERM, before)
