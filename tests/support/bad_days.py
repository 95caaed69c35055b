"""What goes wrong in the middle of a small pipeline on real servers, and what then must hold.

``python -m support.bad_days FOLDER MINUTES [FIRST]`` tries each fault at each moment, prints a
table as it goes, and begins no cell after so many minutes; ``make test-bad-days`` calls it. A
second call goes on from the cell ``FIRST``, the number of those that the first one has tried.
"""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openmofi.errors import OpenMofiError
from support.fault_proxy import Fault, FaultProxy
from support.servers import Servers, servers
from support.small_day import Day, write_inputs
from support.stacks import port_options

# Where each step has begun its work: the server that it asks, and the request.
MOMENTS: Mapping[str, tuple[str, str, str]] = {
    "ingest": ("s3", "PUT", "/pool/"),
    "embedding": ("s3", "PUT", "/tables/image_embeddings/"),
    "assembly": ("s3", "PUT", "/datasets/"),
    "training": ("s3", "PUT", "/checkpoints/"),
    "evaluation": ("s3", "PUT", "/evaluation/"),
    "registration": ("mlflow", "POST", "/model-versions/create"),
}
_FOR_EVER = 10**6


@dataclass(frozen=True)
class Wrong:
    """What goes wrong from a moment on.

    ``fields`` are a `Fault`'s, for so many requests. ``kill``: the server is killed, and comes back
    at once (``back``) or after the run has failed.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    times: int = _FOR_EVER
    kill: bool = False
    back: bool = False


FAULTS: Mapping[str, Wrong] = {
    "killed": Wrong(kill=True),
    "killed, back at once": Wrong(kill=True, back=True),
    "403": Wrong({"status": 403}),
    "503": Wrong({"status": 503}),
    "500": Wrong({"status": 500}),
    "cut off": Wrong({"reset": True}),
    "503 twice": Wrong({"status": 503}, times=2),
    "answer lost": Wrong({"lose_answer": True}, times=1),
    "slow": Wrong({"delay_s": 1.0}, times=5),
}
# Those that matter most first, for a machine on which not all fit.
_FIRST = ("embedding", "training", "registration")
# Swift and MLflow take half a minute to start on a busy machine.
_PATIENT = {
    "OPENMOFI_S3_ATTEMPTS": "12",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "OPENMOFI_MLFLOW_PATIENCE_S": "300",
}


@dataclass(frozen=True)
class Cell:
    """One fault of one server at one moment."""

    service: str
    fault: str
    moment: str


def cells() -> list[Cell]:
    """All of them, the weightiest first."""
    pairs = [(service, fault) for fault in FAULTS for service in ("mlflow", "s3")]
    found = [Cell(*pair, moment) for pair in pairs for moment in MOMENTS]
    kills = [one for one in found if FAULTS[one.fault].kill and one.moment in _FIRST]
    refusals = [
        one
        for one in found
        if one.fault in ("403", "503") and one.moment in ("training", "assembly")
    ]
    first = [*kills, *refusals]
    return [*first, *(one for one in found if one not in first)]


def attempt(day: Day) -> str:
    """Run a day; how it ended."""
    try:
        day.work()
    except OpenMofiError as error:
        text = str(error)
        return f"failed: {text}" if "\n" not in text else f"CRASHED in lines: {text!r}"
    except Exception as error:
        return f"CRASHED: {type(error).__name__}: {error}"
    return "ended well"


class Trouble:
    """A fault that waits for its moment; `over` takes it back, and says whether it came."""

    def __init__(self, both: Servers, cell: Cell) -> None:
        self._both, self._cell = both, cell
        self._wrong = FAULTS[cell.fault]
        self._starter: threading.Thread | None = None
        place, method, path = MOMENTS[cell.moment]
        first: FaultProxy = getattr(both, place)
        self._came = False
        # The request of the moment meets the fault itself, if it is asked of that server.
        fields = self._wrong.fields if place == cell.service else {}
        first.fail(Fault(method, path, then=self._come, **fields))

    def _come(self) -> None:
        if self._wrong.kill:
            self._both.kill(self._cell.service)
        self._came = True
        if self._wrong.back:
            self._starter = threading.Thread(target=self._both.start)
            self._starter.start()
        elif self._wrong.fields:
            target: FaultProxy = getattr(self._both, self._cell.service)
            met = int(MOMENTS[self._cell.moment][0] == self._cell.service)
            times = self._wrong.times
            if times == _FOR_EVER:
                target.fail(Fault(lasting=True, **self._wrong.fields))
            else:
                target.fail(Fault(**self._wrong.fields), times=times - met)

    def over(self) -> bool:
        if self._starter:
            self._starter.join()
        self._both.s3.clear()
        self._both.mlflow.clear()
        if self._wrong.kill:
            self._both.start()
        return self._came


def differences(day: Day, quiet: Counter[str]) -> list[str]:
    """What is other than on a day without a fault: lost, doubled or left over."""
    ours = day.left()
    more = [f"too much: {one}" for one in sorted((ours - quiet).elements())]
    return more + [f"lost: {one}" for one in sorted((quiet - ours).elements())]


def try_cell(
    both: Servers, inputs: Path, quiet: Counter[str], cell: Cell
) -> tuple[list[str], bool]:
    """A row of the table, and whether all is well."""
    os.environ.update(both.environment(), OPENMOFI_S3_ATTEMPTS="3")
    if FAULTS[cell.fault].back:
        os.environ.update(_PATIENT)
    day = Day(inputs)
    trouble = Trouble(both, cell)
    first = attempt(day)
    came = trouble.over()
    again = attempt(day)
    wrong = differences(day, quiet) if again == "ended well" else []
    well = came and not wrong and again == "ended well" and not first.startswith("CRASHED")
    left_out = [f"and {len(wrong) - 3} more"] if len(wrong) > 3 else []
    told = "; ".join([*wrong[:3], *left_out]) or ("0" if again == "ended well" else "-")
    row = [cell.service, cell.fault, cell.moment, first if came else "NOT MET", again, told]
    return [" ".join(one.replace(day.name, "day").split()) for one in row], well


def table(
    both: Servers, inputs: Path, until: float, first: int
) -> Iterator[tuple[list[str], bool]]:
    """Row by row from the cell ``first`` on; the last ones tell what was not tried."""
    day = Day(inputs)
    day.work()
    quiet = day.left()
    for cell in cells()[first:]:
        if time.monotonic() > until:
            yield [cell.service, cell.fault, cell.moment, "not tried", "", ""], True
        else:
            yield try_cell(both, inputs, quiet, cell)


def main(folder: Path, minutes: float, first: int = 0) -> int:
    """Print the table; 1 if something crashed, did not go on, was lost or doubled."""
    until = time.monotonic() + 60 * minutes
    bad = 0
    _print(["server", "fault", "moment", "run", "run again", "lost or doubled"])
    _print(["---"] * 6)
    with servers(folder / "stack", *port_options()) as both:
        for row, well in table(both, write_inputs(folder / "inputs"), until, first):
            bad += not well
            _print(row)
    print(f"{bad} cells are bad")
    return int(bool(bad))


def _print(row: list[str]) -> None:
    print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:])))
