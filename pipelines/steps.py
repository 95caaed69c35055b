"""The steps of one run: what they are called, what they say, how they fail, what they made."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from pipelines.failures import StepCrashError, StepError

# After an interrupt: what a checkpoint may take. A second interrupt ends the wait.
GRACE_S = 60.0

# A progress bar that has just started says nothing; later ones come every thirty seconds.
_EMPTY_BAR = re.compile(r": +0(%\||\w+ \[)")


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


class Running(Protocol):
    """A step's process or container."""

    def terminate(self) -> None:
        """Ask it to save and end."""

    def kill(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Step:
    """One step that is about to start.

    Args:
        label: How it is called on the screen, and its log.
        environment: What it is handed in any case.
    """

    label: str
    environment: Mapping[str, str]


class Steps:
    """Starts the steps of one run, shows what they say, and remembers what they made.

    Stands behind kfp.local's own functions, which put both streams of a step on stdout, indented,
    with the orchestrator's notes between, and go on with other branches after a failure.
    """

    def __init__(self, folder: Path, titles: Mapping[str, str], loop_threads: int) -> None:
        self.outputs: list[StepOutput] = []
        self.failed = ""
        self.folder = folder
        self._titles = titles
        self._loop_threads = loop_threads
        # KFP's own folder is the one that a container may write to.
        self._error_file = folder / "kfp" / "errors.jsonl"
        self._error_file.unlink(missing_ok=True)  # of an earlier run by this name
        self._changed = threading.Condition()  # of an RLock: a signal may come while it is held
        self._running: set[Running] = set()
        self._ending = False

    def run(self, command: Sequence[str], start: Callable[[Step], int]) -> int:
        """Run one step to its end.

        Args:
            command: KFP's, which says where the step writes what it returned.
            start: Runs it, and returns its exit code.

        Returns:
            The exit code; 1 without a start where another step has failed.
        """
        if self.failed:
            return 1
        output_file = _executor_output(command)
        step = self._titles.get(output_file.parent.name, output_file.parent.name)
        group = ".".join(re.findall(r"iteration-(\d+)", str(output_file)))
        label = f"{step}[{group}]" if group else step
        started = time.monotonic()
        with ThreadPoolExecutor(1) as apart:  # so that an interrupt does not cut off its last words
            code = apart.submit(start, Step(label, self._environment(step, group))).result()
        if code == 0:
            seconds = round(time.monotonic() - started, 1)
            for uri in _manifests(output_file):
                self.outputs.append(StepOutput(step, group, uri, seconds))
            tell(f"{label}: done in {seconds:.1f} s")
        elif not self.failed:
            self.failed = label  # what runs beside it may finish: its shards count next time
        return code

    @contextmanager
    def running(self, one: Running) -> Iterator[None]:
        """Hold what `end` has to end."""
        with self._changed:
            self._running.add(one)
            if self._ending:
                one.terminate()
        try:
            yield
        finally:
            with self._changed:
                self._running.discard(one)
                self._changed.notify_all()

    def end(self, grace_s: float) -> None:
        """Ask what runs to end, once; end what still runs after ``grace_s`` seconds."""
        with self._changed:
            if not self._ending:
                self._ending = True
                for one in list(self._running):
                    one.terminate()
            if not self._changed.wait_for(lambda: not self._running, grace_s):
                for one in list(self._running):
                    one.kill()
                self._changed.wait_for(lambda: not self._running, grace_s)

    def show(self, log: TextIO, label: str, line: str) -> None:
        """Put a line that a step has said for people on the screen and into its log."""
        if line.strip() and not _EMPTY_BAR.search(line):
            log.write(line.rstrip("\r\n") + "\n")
            log.flush()
            tell(f"{label} | {line.rstrip()}")

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
        raise StepCrashError(f"step '{self.failed}' crashed; its log is under {self.folder}")

    def _environment(self, step: str, group: str) -> dict[str, str]:
        ours = {
            "OPENMOFI_ERROR_FILE": str(self._error_file.absolute()),
            "OPENMOFI_STEP": step,
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        if group and "OMP_NUM_THREADS" not in os.environ:
            # Two groups run at once; each with all cores' threads would only be in the other's way.
            ours["OMP_NUM_THREADS"] = str(self._loop_threads)
        return ours


def _executor_output(command: Sequence[str]) -> Path:
    """Where KFP's executor writes what the step returned."""
    text = command[command.index("--executor_input") + 1]
    return Path(json.loads(text)["outputs"]["outputFile"])


def _manifests(executor_output: Path) -> list[str]:
    """URIs of the manifests that a step's artifacts name."""
    body = json.loads(executor_output.read_text(encoding="utf-8"))
    artifacts = body.get("artifacts", {}).get("manifest", {}).get("artifacts", [])
    return [a["metadata"]["uri"] for a in artifacts if "uri" in a.get("metadata", {})]


def tell(line: str) -> None:
    """A line for people."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
