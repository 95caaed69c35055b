"""Run a compiled graph on this machine by kfp.local, each step a process of its own."""

import builtins
import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kfp import local
from kfp.local import subprocess_task_handler
from kfp.local.orchestrator import task_spec_utils

from pipelines.failures import StepCrashError, StepError

# kfp.local runs at most two iterations of a loop at once.
LOOP_WIDTH = 2

# A progress bar that has just started says nothing; later ones come every thirty seconds.
_EMPTY_BAR = re.compile(r": +0(%\||\w+ \[)")

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class StepOutput:
    """What one finished step has made.

    Args:
        step: The task, as it is called in the graph.
        group: Iterations of the loops that it stands in, such as ``0``; empty outside.
        uri: Its manifest.
        seconds: How long it ran.
    """

    step: str
    group: str
    uri: str
    seconds: float


def git_commit() -> str:
    """The checkout's commit, with ``-dirty`` after it where files differ; empty outside of one.

    In a pod the image knows it; here the code runs from the checkout.
    """
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


class Steps:
    """Starts the processes of one run, shows what they say, and remembers what they made.

    Stands in for kfp.local's own function, which puts both streams of a step on stdout, indented,
    with the orchestrator's notes between, and goes on with other branches after a failure.
    """

    def __init__(self, folder: Path, titles: Mapping[str, str], loop_threads: int) -> None:
        self.outputs: list[StepOutput] = []
        self.failed = ""
        self._folder = folder
        self._titles = titles
        self._loop_threads = loop_threads
        self._error_file = folder / "errors.jsonl"
        self._commit = os.environ.get("OPENMOFI_GIT_COMMIT") or git_commit()
        self._lock = threading.RLock()  # a signal may come while it is held
        self._running: set[subprocess.Popen[str]] = set()

    def run(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Run one step to its end. Takes and returns what kfp.local's function does."""
        if self.failed:
            return 1
        output_file = _executor_output(full_command)
        step = self._titles.get(output_file.parent.name, output_file.parent.name)
        group = ".".join(re.findall(r"iteration-(\d+)", str(output_file)))
        label = f"{step}[{group}]" if group else step
        started = time.monotonic()
        code = self._process(full_command, self._environment(step, group, env_vars), label)
        if code == 0:
            seconds = round(time.monotonic() - started, 1)
            for uri in _manifests(output_file):
                self.outputs.append(StepOutput(step, group, uri, seconds))
            _tell(f"{label}: done in {seconds:.1f} s")
        elif not self.failed:
            self.failed = label  # what runs beside it may finish: its shards count next time
        return code

    def stop(self) -> None:
        """End what runs."""
        with self._lock:
            for process in list(self._running):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)

    def raise_failure(self) -> None:
        """Raise what the failed step said, if one has failed.

        Raises:
            StepError: It said what is wrong in one line.
            StepCrashError: It did not.
        """
        if not self.failed:
            return
        if self._error_file.is_file():
            first = json.loads(self._error_file.read_text(encoding="utf-8").splitlines()[0])
            raise StepError(f"step '{first['step']}' failed: {first['message']}")
        raise StepCrashError(f"step '{self.failed}' crashed; its log is under {self._folder}")

    def _environment(
        self, step: str, group: str, given: Mapping[str, str] | None
    ) -> dict[str, str]:
        ours = {
            "OPENMOFI_ERROR_FILE": str(self._error_file),
            "OPENMOFI_STEP": step,
            "OPENMOFI_STARTED_BY": str(os.getpid()),
            "OPENMOFI_GIT_COMMIT": self._commit,
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        if group and "OMP_NUM_THREADS" not in os.environ:
            # Two groups run at once; each with all cores' threads would only be in the other's way.
            ours["OMP_NUM_THREADS"] = str(self._loop_threads)
        return {**os.environ, **(given or {}), **ours}

    def _process(self, command: list[str], environment: dict[str, str], label: str) -> int:
        """Stdout, where KFP's executor logs, goes to a file; stderr to the file and the screen."""
        with (
            open(self._folder / f"{label}.log", "w", encoding="utf-8") as log,
            subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,
            ) as process,
        ):
            with self._lock:
                self._running.add(process)
            assert process.stderr is not None
            for line in process.stderr:
                if line.strip() and not _EMPTY_BAR.search(line):
                    log.write(line)
                    log.flush()
                    _tell(f"{label} | {line.rstrip()}")
            process.wait()
            with self._lock:
                self._running.discard(process)
            return process.returncode


def run_locally(
    pipeline: Any, arguments: Mapping[str, Any], *, folder: Path, groups: int = 1
) -> list[StepOutput]:
    """Run a pipeline's graph.

    Args:
        pipeline: A function that `dsl.pipeline` has decorated.
        arguments: Its parameters.
        folder: For logs, KFP's own files and ``outputs.json``.
        groups: How many iterations the widest loop has.

    Returns:
        What each step made, in the order in which they finished.

    Raises:
        StepError: A step refused its input, in one line.
        StepCrashError: A step crashed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    threads = max(1, (os.cpu_count() or 1) // min(groups, LOOP_WIDTH))
    steps = Steps(folder, task_titles(pipeline.pipeline_spec), threads)
    forget_retries(pipeline.pipeline_spec)
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "kfp"),
        raise_on_error=True,
        enable_caching=False,
    )
    with _in_charge(steps, folder / "orchestrator.log"):
        try:
            pipeline(**arguments)
        except RuntimeError:
            steps.raise_failure()
            raise
    outputs = [asdict(output) for output in steps.outputs]
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=1), encoding="utf-8")
    return steps.outputs


def task_titles(spec: Any) -> dict[str, str]:
    """What the graph calls each component's task: ``train-model-2`` is ``train-baseline``."""
    return {
        task.component_ref.name.removeprefix("comp-"): task.task_info.name for task in _tasks(spec)
    }


def forget_retries(spec: Any) -> None:
    """Take them off a graph: they are for nodes that vanish, and here nobody waits for a node."""
    for task in _tasks(spec):
        task.ClearField("retry_policy")


def _tasks(spec: Any) -> Iterator[Any]:
    for dag in (spec.root.dag, *(component.dag for component in spec.components.values())):
        yield from dag.tasks.values()


@contextlib.contextmanager
def _in_charge(steps: Steps, log: Path) -> Iterator[None]:
    """Let ``steps`` start the processes, and keep kfp.local's own notes in a file."""
    original_run = subprocess_task_handler.run_local_subprocess
    # kfp.local patches both in each thread of a loop, and leaves wrappers and handlers behind.
    original_print, logger = builtins.print, logging.getLogger()
    original_logging = logger.level, logger.handlers[:]

    def interrupt(*_: object) -> None:
        # Here and not further up: kfp.local waits for its threads before it lets go.
        steps.failed = steps.failed or "interrupted"
        steps.stop()
        raise KeyboardInterrupt

    handlers = {number: signal.signal(number, interrupt) for number in _INTERRUPTS}
    original_iteration = task_spec_utils.create_parameter_loop_iteration_task_spec
    task_spec_utils.create_parameter_loop_iteration_task_spec = _iteration(original_iteration)
    subprocess_task_handler.run_local_subprocess = steps.run
    with open(log, "w", encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "X is ignored in local execution", for every placement
        try:
            with contextlib.redirect_stdout(file):
                yield
        finally:
            steps.stop()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            subprocess_task_handler.run_local_subprocess = original_run
            task_spec_utils.create_parameter_loop_iteration_task_spec = original_iteration
            builtins.print = original_print
            logger.level, logger.handlers[:] = original_logging


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


def _executor_output(command: Sequence[str]) -> Path:
    """Where KFP's executor writes what the step returned."""
    text = command[command.index("--executor_input") + 1]
    return Path(json.loads(text)["outputs"]["outputFile"])


def _manifests(executor_output: Path) -> list[str]:
    """URIs of the manifests that a step's artifacts name."""
    body = json.loads(executor_output.read_text(encoding="utf-8"))
    artifacts = body.get("artifacts", {}).get("manifest", {}).get("artifacts", [])
    return [a["metadata"]["uri"] for a in artifacts if "uri" in a.get("metadata", {})]


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
