"""Steps as processes of this machine: what stands in for kfp.local's function that starts them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfp import local
from kfp.local import subprocess_task_handler

from pipelines.checkout import git_commit
from pipelines.steps import Step, Steps


class Processes:
    """Runs each step by this Python, in a session of its own."""

    def prepare(self, folder: Path) -> None:
        """Make KFP's folder."""
        (folder / "kfp").mkdir(exist_ok=True)

    def kfp_runner(self) -> Any:
        """What kfp.local is told to use."""
        return local.SubprocessRunner(use_venv=False)

    @contextlib.contextmanager
    def serving(self, steps: Steps) -> Iterator[None]:
        """Let ``steps`` start the processes."""
        # In a pod the image knows its commit; here the code runs from the checkout.
        commit = os.environ.get("OPENMOFI_GIT_COMMIT") or git_commit()
        ours = {"OPENMOFI_STARTED_BY": str(os.getpid()), "OPENMOFI_GIT_COMMIT": commit}

        def run(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
            def start(step: Step) -> int:
                given = {**os.environ, **(env_vars or {}), **step.environment, **ours}
                return _run(full_command, given, step.label, steps)

            return steps.run(full_command, start)

        original = subprocess_task_handler.run_local_subprocess
        subprocess_task_handler.run_local_subprocess = run
        try:
            yield
        finally:
            subprocess_task_handler.run_local_subprocess = original


class _Process:
    """A step's process with all that it has started."""

    def __init__(self, number: int) -> None:
        self._number = number

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._number, number)


def _run(command: list[str], environment: dict[str, str], label: str, steps: Steps) -> int:
    """Stdout, where KFP's executor logs, goes to a file; stderr to the file and the screen."""
    with (
        open(steps.folder / f"{label}.log", "w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        ) as process,
        steps.running(_Process(process.pid)),
    ):
        assert process.stderr is not None
        for line in process.stderr:
            steps.show(log, label, line)
        return process.wait()
