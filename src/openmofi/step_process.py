"""What a process that runs one step of a pipeline owes to whoever started it.

Set up by the environment, on the import of this package: ``OPENMOFI_ERROR_FILE`` (where errors go
as data), ``OPENMOFI_STEP`` (what the step is called there) and ``OPENMOFI_STARTED_BY`` (the process
without which the step has no reason to go on).
"""

import json
import os
import sys
import threading
import time
from types import TracebackType

from openmofi.errors import OpenMofiError


def set_up() -> None:
    """Follow the environment."""
    error_file = os.environ.get("OPENMOFI_ERROR_FILE")
    if error_file:
        report_errors_to(error_file)
    started_by = os.environ.get("OPENMOFI_STARTED_BY", "")
    if started_by.isdigit():
        threading.Thread(target=_end_with, args=(int(started_by),), daemon=True).start()


def report_errors_to(path: str) -> None:
    """End this process in one line on an `OpenMofiError`, and append it to ``path`` as JSON.

    Whoever started it reads the file and repeats the message, where a traceback through the
    orchestrator would bury it. Any other exception is a fault of ours and keeps its traceback.
    The line is ``{"step": …, "message": …}``.
    """
    previous = sys.excepthook

    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, OpenMofiError):
            previous(kind, error, traceback)
            return
        line = {"step": os.environ.get("OPENMOFI_STEP", ""), "message": str(error)}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(error, file=sys.stderr)

    sys.excepthook = hook


def _end_with(process: int) -> None:
    # After a SIGKILL of the run nothing would end its steps: a shell stands between them, so the
    # parent never changes.
    while os.path.exists(f"/proc/{process}") or not os.path.exists("/proc"):
        time.sleep(1)
    os._exit(1)
