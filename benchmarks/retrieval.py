"""GPR1200's metric: rank counting against a full stable sort, side by side.

Run: OMP_NUM_THREADS=1 python benchmarks/retrieval.py [--images 12000] [--rounds 3] [--noise 1.0]
Both ways get the same unit vectors and include their own matrix product. They alternate, A B A B;
minimum and median of CPU seconds are printed, and the extra peak memory of each in a new process.
"""

import argparse
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from openmofi.evaluation.retrieval import average_precisions


def make(images: int, dim: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Ten images a class around a random centre."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) // 10
    centres = rng.standard_normal((labels[-1] + 1, dim), dtype=np.float32)
    points = centres[labels] + noise * rng.standard_normal((images, dim), dtype=np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True), labels


def by_counting(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return average_precisions(vectors, labels).ap


def by_sorting(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The plain way: all similarities, all lists sorted."""
    order = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")
    hits = labels[order] == labels[:, None]
    precision = np.cumsum(hits, axis=1) / np.arange(1, len(labels) + 1)
    return (precision * hits).sum(axis=1) / hits.sum(axis=1)


def extra_peak_mib(way: str, images: int, dim: int, noise: float, out) -> None:  # type: ignore[no-untyped-def]
    vectors, labels = make(images, dim, noise)
    before = kib("VmRSS")
    {"counting": by_counting, "sorting": by_sorting}[way](vectors, labels)
    out.put((kib("VmHWM") - before) / 1024)


def kib(field: str) -> int:
    """Of this process. Not ``ru_maxrss``: a spawned process inherits its parent's."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def in_new_process(way: str, arguments: argparse.Namespace) -> float:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(
        target=extra_peak_mib,
        args=(way, arguments.images, arguments.dim, arguments.noise, out),
    )
    process.start()
    result = out.get()
    process.join()
    return result


def cpu_seconds(way: Callable[..., np.ndarray], *data: np.ndarray) -> tuple[float, np.ndarray]:
    start = time.process_time()
    result = way(*data)
    return time.process_time() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=2.5, help="2.5: a mAP near 50 %%")
    parser.add_argument("--skip-memory", action="store_true")
    arguments = parser.parse_args()
    print(f"numpy {np.__version__}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}")
    data = make(arguments.images, arguments.dim, arguments.noise)
    ways = {"sorting": by_sorting, "counting": by_counting}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        results = {}
        for name, way in ways.items():
            seconds, results[name] = cpu_seconds(way, *data)
            times[name].append(seconds)
        # Not the same matrix product, so last bits, and with them a few ranks, may differ.
        worst = float(np.abs(results["sorting"] - results["counting"]).max())
        print(f"mAP {100 * results['counting'].mean():.3f} %, largest difference in AP {worst:.1e}")
    for name, values in times.items():
        print(f"{name:9s} min {min(values):6.2f} s  median {statistics.median(values):6.2f} s")
    for label, pick in (("min", min), ("median", statistics.median)):
        print(f"ratio {label}: {pick(times['sorting']) / pick(times['counting']):.1f}")
    if not arguments.skip_memory:
        for name in ways:
            print(f"{name:9s} extra peak memory {in_new_process(name, arguments):7.0f} MiB")


if __name__ == "__main__":
    main()
