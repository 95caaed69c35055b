"""`openmofi textregions detect` with one and two workers, a part of `text_detection`."""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.text_labels import Photo, ratio_interval
from openmofi.errors import OpenMofiError
from openmofi.shards import write_tar

WORKERS = (1, 2)
_MAIN = "import sys; from openmofi.cli import main; sys.exit(main())"


def lay_out(photos: Sequence[Photo], folder: Path, tars: int) -> Path:
    """Tars that take equally long, or one worker would wait for the other's last."""
    folder.mkdir()
    for number in range(tars):
        mine = photos[number::tars]
        write_tar(
            folder / f"{number:05}.tar",
            [(f"{number:05}{at:05}", {"jpg": one.read()}) for at, one in enumerate(mine)],
        )
    return folder


def race_command(
    photos: Sequence[Photo], folder: Path, options: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of every round by name, and core-seconds a picture by number of workers."""
    count = len(photos) // options.tars * options.tars
    if not count:
        raise OpenMofiError(f"{len(photos)} pictures for {options.tars} tars; lower --tars")
    whole = lay_out(photos[:count], folder / "whole", options.tars)
    little = lay_out(photos[:2], folder / "little", 2)
    seconds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for workers in WORKERS:
            for name, pairs in (("start", little), ("whole", whole)):
                taken = _timed(pairs, folder / "regions.parquet", workers, options.config)
                seconds.setdefault(f"{name} {workers}", []).append(taken)
    running = {
        workers: [
            whole - start
            for whole, start in zip(
                seconds[f"whole {workers}"], seconds[f"start {workers}"], strict=True
            )
        ]
        for workers in WORKERS
    }
    print(f"\ntextregions detect, {count} pictures in {options.tars} tars")
    _print_command(seconds, running, count)
    return seconds, {
        f"command, {workers} workers": workers * float(np.median(running[workers])) / count
        for workers in WORKERS
    }


def _print_command(
    seconds: Mapping[str, list[float]], running: Mapping[int, list[float]], count: int
) -> None:
    for workers in WORKERS:
        start, steady = np.median(seconds[f"start {workers}"]), running[workers]
        print(
            f"{workers} workers: start-up {start:.1f} s, then {count / max(steady):.1f} to "
            f"{count / min(steady):.1f} pictures/s, median {count / np.median(steady):.1f}"
        )
    for told, one, two in (
        ("without start-up", running[1], running[2]),
        ("all of it", seconds["whole 1"], seconds["whole 2"]),
    ):
        low, ratio, high = ratio_interval(one, two)
        print(f"two workers are {ratio:.2f} ({low:.2f} to {high:.2f}) times as fast, {told}")


def _timed(pairs: Path, out: Path, workers: int, config: Path | None) -> float:
    command = [sys.executable, "-c", _MAIN, "textregions", "detect", "--pairs", str(pairs)]
    command += ["--out", str(out), "--workers", str(workers)]
    if config:
        command += ["--config", str(config)]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    taken = time.perf_counter() - begin
    if done.returncode:
        raise OpenMofiError(f"{' '.join(command[3:])}: {done.stderr.strip()}")
    return taken
