"""GPR1200's metric: rank counting against a full stable sort, side by side.

Run: OMP_NUM_THREADS=1 python benchmarks/retrieval.py
     OMP_NUM_THREADS=1 python benchmarks/retrieval.py --images 100000 --alone
Both ways get the same unit vectors and include their own matrix product. First every query's AP is
compared on the same similarities; a difference ends the run. Then the ways alternate, A B A B:
minimum and median of CPU seconds are printed, and the extra peak memory of each in a new process.
``--alone`` leaves the sort out, whose lists of 100,000 images would take 120 GB: AP is compared on
the first blocks, and one run is timed.
"""

import argparse
import itertools
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from openmofi.evaluation.retrieval import average_precisions, similarity_blocks, unit_rows

BLOCKS_ALONE = 4


def make(images: int, dim: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Ten images a class around a random centre."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) // 10
    centres = rng.standard_normal((labels[-1] + 1, dim), dtype=np.float32)
    points = centres[labels] + noise * rng.standard_normal((images, dim), dtype=np.float32)
    return unit_rows(points), labels


def by_counting(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return average_precisions(vectors, labels).ap


def by_sorting(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The plain way: all similarities, all lists sorted."""
    order = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")
    return np.array([sorted_ap(row, labels, query) for query, row in enumerate(order)])


def sorted_ap(order: np.ndarray, labels: np.ndarray, query: int) -> float:
    ranks = 1 + np.flatnonzero(labels[order] == labels[query])
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def check(vectors: np.ndarray, labels: np.ndarray, blocks: int | None) -> float:
    """AP of each query of the first blocks: counted and sorted, on the same similarities.

    Returns the CPU seconds of counting, which is all that `--alone` times.
    """
    seconds, counted = cpu_seconds(by_counting, vectors, labels)
    worst, queries = 0.0, 0
    # Scaled again, as the metric does: that may move a last bit.
    for start, block in itertools.islice(similarity_blocks(unit_rows(vectors)), blocks):
        for query, row in enumerate(block, start=start):
            expected = sorted_ap(np.argsort(-row, kind="stable"), labels, query)
            worst, queries = max(worst, abs(counted[query] - expected)), queries + 1
    print(f"AP of {queries:,} queries, same similarities: largest difference {worst:.1e}")
    if worst > 1e-12:
        raise SystemExit("the two ways disagree: nothing to time")
    return seconds


def extra_peak_mib(way: str, folder: str, out) -> None:  # type: ignore[no-untyped-def]
    vectors, labels = (np.load(Path(folder, f"{name}.npy")) for name in ("vectors", "labels"))
    ways = {"counting": by_counting, "sorting": by_sorting}
    ways[way](vectors[:200], labels[:200])  # what a first call loads is not the metric's
    before = kib("VmRSS")
    ways[way](vectors, labels)
    out.put((kib("VmHWM") - before) / 1024)


def kib(field: str) -> int:
    """Of this process. Not ``ru_maxrss``: a spawned process inherits its parent's."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def in_new_process(way: str, vectors: np.ndarray, labels: np.ndarray) -> float:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "vectors.npy"), vectors)
        np.save(Path(folder, "labels.npy"), labels)
        process = context.Process(target=extra_peak_mib, args=(way, folder, out))
        process.start()
        result: float = out.get()
        process.join()
    return result


def cpu_seconds(way: Callable[..., np.ndarray], *data: np.ndarray) -> tuple[float, np.ndarray]:
    start = time.process_time()
    result = way(*data)
    return time.process_time() - start, result


def compare_speed(ways: dict[str, Callable[..., np.ndarray]], data, rounds: int) -> None:  # type: ignore[no-untyped-def]
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds, ap = cpu_seconds(way, *data)
            times[name].append(seconds)
            # Each with its own matrix product, so the last digits of the mAP may differ.
            print(f"  {name:9s} {seconds:6.2f} s  mAP {100 * ap.mean():.4f} %", flush=True)
    for name, spent in times.items():
        print(f"{name:9s} min {min(spent):6.2f} s  median {statistics.median(spent):6.2f} s")
    for label, pick in (("min", min), ("median", statistics.median)):
        print(f"ratio {label}: {pick(times['sorting']) / pick(times['counting']):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--noise", type=float, default=2.5, help="2.5: a mAP near 50 %%")
    parser.add_argument("--alone", action="store_true", help="without the full sort")
    parser.add_argument("--skip-memory", action="store_true")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("CPU seconds of several threads say nothing: set OMP_NUM_THREADS=1")
    print(f"numpy {np.__version__}, one thread, {arguments.images:,} x {arguments.dim}")
    data = make(arguments.images, arguments.dim, arguments.noise)
    seconds = check(*data, BLOCKS_ALONE if arguments.alone else None)
    ways = {"sorting": by_sorting, "counting": by_counting}
    if arguments.alone:
        del ways["sorting"]
        print(f"counting {seconds:6.2f} s")
    else:
        compare_speed(ways, data, arguments.rounds)
    if not arguments.skip_memory:
        for name in ways:
            print(f"{name:9s} extra peak memory {in_new_process(name, *data):7.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
