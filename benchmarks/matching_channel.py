"""Starts `matching_worker` processes and talks with them, within limits of time and memory."""

import argparse
import json
import os
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


class WorkerError(Exception):
    """A matcher could not do what was asked; the message says why."""


class Channel:
    """A `matching_worker` process."""

    def __init__(
        self,
        name: str,
        data: Path,
        saved: Path | None,
        arguments: argparse.Namespace,
        compiled: str = "compiled-for-matching",
    ) -> None:
        self._seconds = 60 * arguments.limit_minutes
        self._gib = arguments.limit_gib
        command = [sys.executable, str(Path(__file__).with_name("matching_worker.py")), name]
        command += [str(data), "--limit-gib", str(self._gib)]
        command += [] if saved is None else ["--saved", str(saved)]
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(data / compiled)}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the channel
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )

    def ask(self, command: str, **arguments: Any) -> dict[str, float]:
        """One question, one answer.

        Raises:
            WorkerError: The process ended or took too long; it is gone then.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        try:
            print(json.dumps({"do": command, **arguments}), file=stdin, flush=True)
        except BrokenPipeError:
            raise WorkerError(self._reason()) from None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(self._seconds):
                self.close()
                raise WorkerError(f"could not: {command} took over {self._seconds / 60:g} minutes")
        line = stdout.readline()
        if not line:
            raise WorkerError(self._reason())
        answer: dict[str, float] = json.loads(line)
        return answer

    def _reason(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        last = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        said = last[-1] if last else "no message"
        return f"could not: exit status {code} under a limit of {self._gib:g} GiB, {said}"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
