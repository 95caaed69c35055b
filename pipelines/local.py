"""Run a compiled graph on this machine by kfp.local, each step a process or a container."""

import builtins
import contextlib
import copy
import json
import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from kfp import local
from kfp.local import logging_utils
from kfp.local.orchestrator import task_spec_utils

from pipelines.processes import Processes
from pipelines.steps import GRACE_S, StepOutput, Steps, tell

# kfp.local runs at most two iterations of a loop at once.
LOOP_WIDTH = 2

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class Runner(Protocol):
    """How steps are started."""

    def prepare(self, folder: Path) -> None:
        """Make what steps write to; ``folder / "kfp"`` is KFP's."""

    def kfp_runner(self) -> Any:
        """What kfp.local is told to use."""

    def serving(self, steps: Steps) -> AbstractContextManager[None]:
        """Let ``steps`` start what kfp.local would start, for as long as the context is open."""


def run_locally(
    pipeline: Any,
    arguments: Mapping[str, Any],
    *,
    folder: Path,
    groups: int = 1,
    runner: Runner | None = None,
) -> list[StepOutput]:
    """Run a pipeline's graph.

    Args:
        pipeline: A function that `dsl.pipeline` has decorated.
        arguments: Its parameters.
        folder: For logs, KFP's own files and ``outputs.json``.
        groups: How many iterations the widest loop has.
        runner: How steps are started; as processes by default.

    Returns:
        What each step made, in the order in which they finished.

    Raises:
        StepError: A step refused its input, in one line.
        StepCrashError: A step crashed.
    """
    runner = runner or Processes()
    folder.mkdir(parents=True, exist_ok=True)
    runner.prepare(folder)
    threads = max(1, (os.cpu_count() or 1) // min(groups, LOOP_WIDTH))
    steps = Steps(folder, task_titles(pipeline.pipeline_spec), threads)
    kfp_folder = str(folder / "kfp")
    local.init(runner.kfp_runner(), kfp_folder, raise_on_error=True, enable_caching=False)
    with (
        without_retries(pipeline.pipeline_spec),
        _in_charge(steps, folder / "orchestrator.log"),
        runner.serving(steps),
    ):
        try:
            pipeline(**arguments)
        except RuntimeError:
            steps.raise_failure()
            raise
        finally:
            steps.end(GRACE_S)
    _write_outputs(folder, steps.outputs)
    return steps.outputs


def _write_outputs(folder: Path, outputs: Sequence[StepOutput]) -> None:
    text = json.dumps([asdict(output) for output in outputs], indent=1)
    (folder / "outputs.json").write_text(text, encoding="utf-8")


def task_titles(spec: Any) -> dict[str, str]:
    """What the graph calls each component's task: ``train-model-2`` is ``train-baseline``."""
    return {
        task.component_ref.name.removeprefix("comp-"): task.task_info.name for task in _tasks(spec)
    }


@contextlib.contextmanager
def without_retries(spec: Any) -> Iterator[None]:
    """Take them off a graph: they are for nodes that vanish, and here nobody waits for a node."""
    whole = copy.deepcopy(spec)
    for task in _tasks(spec):
        task.ClearField("retry_policy")
    try:
        yield
    finally:
        spec.CopyFrom(whole)


def _tasks(spec: Any) -> Iterator[Any]:
    for dag in (spec.root.dag, *(component.dag for component in spec.components.values())):
        yield from dag.tasks.values()


@contextlib.contextmanager
def _in_charge(steps: Steps, log: Path) -> Iterator[None]:
    """End the steps on an interrupt, mend the loops, and keep kfp.local's own notes in a file."""
    # kfp.local patches both in each thread of a loop, and leaves wrappers and handlers behind.
    original_print, logger = builtins.print, logging.getLogger()
    original_logging = logger.level, logger.handlers[:]
    # Each wrapper prints twice by the one below it: a hundred groups would never end.
    original_indent = logging_utils.indented_print
    logging_utils.indented_print = contextlib.nullcontext
    original_iteration = task_spec_utils.create_parameter_loop_iteration_task_spec
    task_spec_utils.create_parameter_loop_iteration_task_spec = _iteration(original_iteration)
    with (
        open(log, "w", encoding="utf-8") as file,
        warnings.catch_warnings(),
        _interruptible(steps),
    ):
        warnings.simplefilter("ignore")  # "X is ignored in local execution", for every placement
        try:
            with contextlib.redirect_stdout(file):
                yield
        finally:
            logging_utils.indented_print = original_indent
            task_spec_utils.create_parameter_loop_iteration_task_spec = original_iteration
            builtins.print = original_print
            logger.level, logger.handlers[:] = original_logging


@contextlib.contextmanager
def _interruptible(steps: Steps) -> Iterator[None]:
    """The first interrupt lets steps save, the second one ends them."""
    interrupted = False

    def interrupt(*_: object) -> None:
        # Here and not further up: kfp.local waits for its threads before it lets go.
        nonlocal interrupted
        again, interrupted = interrupted, True
        steps.failed = steps.failed or "interrupted"
        if not again:
            tell("pipelines: interrupted; waiting for steps to save, once more to end them at once")
        steps.end(0.0 if again else GRACE_S)
        raise KeyboardInterrupt

    handlers = {number: signal.signal(number, interrupt) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _iteration(create: Callable[..., Any]) -> Callable[..., Any]:
    """Mend kfp.local's loops: 2.17 puts the loop's item in place of every task output read inside.

    Harmless once that is fixed; then this may go.
    """

    def mended(original_task_spec: Any, *arguments: Any, **options: Any) -> Any:
        made = create(original_task_spec, *arguments, **options)
        item = original_task_spec.parameter_iterator.item_input
        for name, source in original_task_spec.inputs.parameters.items():
            if name != item and source.HasField("task_output_parameter"):
                made.inputs.parameters[name].CopyFrom(source)
        return made

    return mended
