"""Assembly at scale: time by step, memory, temporary disk, and what was found of what was planted.

Run: python -m benchmarks.assembly --rows 10000000 --shards 1000 --dim 64 [--no-embeddings]
         [--memory 1GB] [--threads N] [--workers N] [--folder DIR]
The pool is generated (benchmarks/assembly_data.py, whose head says what is planted) and assembled
by a process of its own, once. Of its process group, sampled every half second: the sum of what is
resident, and what lies in the folder for temporary files. With --folder the pool stays there and is
not written again if it has the size asked for; what a run made of it is made anew. 10,000,000 rows
at dim 64 take about 5 GB there.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.assembly_data import CAUSES, Size, expected, write_pool
from benchmarks.assembly_vectors import COSINE

_PAUSE_S = 0.5
_MADE = ("datasets", "manifests/dataset", "manifests/dataset_facts", "tables/dataset_facts")
_STEP = re.compile(r"assemble: (.+) took ([0-9.]+) s")


class Watched:
    """What a process group takes, sampled until it ends."""

    def __init__(self, group: int, temporary: Path) -> None:
        self.resident = self.spilled = 0  # bytes, the most at once
        self.peaks: dict[int, int] = {}  # VmHWM by process
        self._group = group
        self._temporary = temporary
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_PAUSE_S):
            now = 0
            for process in self._members():
                sizes = _memory(process)
                now += sizes.get("VmRSS", 0)
                self.peaks[process] = max(self.peaks.get(process, 0), sizes.get("VmHWM", 0))
            self.resident = max(self.resident, now)
            self.spilled = max(self.spilled, folder_bytes(self._temporary))

    def _members(self) -> Iterator[int]:
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                if int(path.read_text().rpartition(")")[2].split()[2]) == self._group:
                    yield int(path.parent.name)


def _memory(process: int) -> dict[str, int]:
    """VmRSS and VmHWM of a process, in bytes."""
    sizes = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                sizes[name] = 1024 * int(value.split()[0])
    return sizes


def folder_bytes(folder: Path) -> int:
    """On disk: what lies under a folder, holes left out."""
    found = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it is gone by now
            found += 512 * path.stat().st_blocks
    return found


def pool_at(folder: Path, size: Size) -> dict[str, Any]:
    """The pool in ``folder``, written unless it is there."""
    known = folder / "pool.json"
    if known.is_file():
        there: dict[str, Any] = json.loads(known.read_text())
        if there["size"] != asdict(size):
            raise SystemExit(f"{folder} holds a pool of {there['size']}; name another folder")
        return dict(there["tables"])
    started = time.perf_counter()
    tables = write_pool(folder / "root", size)
    known.write_text(json.dumps({"size": asdict(size), "tables": tables}))
    seconds = time.perf_counter() - started
    _print({"pool written in s": round(seconds), "MB": round(folder_bytes(folder) / 1e6)})
    return tables


def run(folder: Path, arguments: argparse.Namespace) -> str:
    """Assemble in a process group of its own; print what it took; the data set's URI."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    for made in _MADE:  # by a run before: nothing is reused
        shutil.rmtree(folder / "root" / made, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.assembly", *sys.argv[1:], "--child", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with Watched(process.pid, temporary) as watched:
        for line in process.stderr:
            print(line, end="", file=sys.stderr)
            if step := _STEP.search(line):
                _print({"step": step[1], "seconds": float(step[2])})
        uri = process.stdout.read().strip()
        code = process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    _print(
        {
            "seconds": round(time.perf_counter() - started, 1),
            "CPU seconds": round(cpu, 1),
            "resident at once MB": round(watched.resident / 1e6),
            "VmHWM of all processes MB": round(sum(watched.peaks.values()) / 1e6),
            "temporary MB": round(watched.spilled / 1e6),
        }
    )
    if code:
        raise SystemExit(code)
    return uri


def judge(uri: str, size: Size) -> Iterator[dict[str, object]]:
    """Recall and precision of each planted cause."""
    from openmofi.dataset.versions.version import read_dataset

    dataset = read_dataset(uri)
    wanted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for shard, (start, end) in zip(dataset.shards, pairwise(size.starts()), strict=True):
        truth = expected(np.arange(start, end))
        told = np.full(len(truth), "", dtype="U32")
        table = dataset.dropped(shard)
        told[table["row"].to_numpy()] = table["cause"].to_pylist()
        for cause in CAUSES:
            wanted[cause] += int((truth == cause).sum())
            found[cause] += int((told == cause).sum())
            right[cause] += int(((truth == cause) & (told == cause)).sum())
    for cause in CAUSES:
        if cause == "duplicate_embedding" and not size.dim:
            continue
        recall, precision = (
            round(right[cause] / of[cause], 6) if of[cause] else None for of in (wanted, found)
        )
        yield {"cause": cause, "planted": wanted[cause], "recall": recall, "precision": precision}
    yield {"counts": dataset.content["counts"], "totals": dataset.content["totals"]}
    yield {"content digest": dataset.content["content_digest"]}


def assemble(folder: Path, arguments: argparse.Namespace) -> None:
    """The child's part."""
    from openmofi.dataset.assemble import assemble_dataset

    tables = json.loads((folder / "pool.json").read_text())["tables"]
    cosine = None if arguments.no_embeddings else COSINE
    resources = {"memory": arguments.memory, "threads": arguments.threads}
    # Another seed is another recipe: a pool that was kept is assembled anew.
    config = {"duplicates": {"embedding_cosine": cosine}, "seed": time.time_ns() % 2**31}
    print(assemble_dataset(**tables, config=config, workers=arguments.workers, resources=resources))


def _print(row: dict[str, object]) -> None:
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--no-embeddings", action="store_true", help="neither made nor compared")
    parser.add_argument("--memory", default="", help="of the database, as 1GB")
    parser.add_argument("--threads", type=int, help="of the database")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--folder", type=Path, help="where the pool stays")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        assemble(arguments.child, arguments)
        return
    dim = 0 if arguments.no_embeddings else arguments.dim
    size = Size(arguments.rows, arguments.shards, dim, arguments.entities)
    with contextlib.ExitStack() as stack:
        folder = arguments.folder
        if folder is None:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="openmofi-benchmark-"))
            )
        folder.mkdir(parents=True, exist_ok=True)
        pool_at(folder.absolute(), size)
        for row in judge(run(folder.absolute(), arguments), size):
            _print(row)


if __name__ == "__main__":
    main()
