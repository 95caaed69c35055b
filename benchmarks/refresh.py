"""What a refresh costs of a whole run, and whether its tables are the same.

Run: python -m benchmarks.refresh [--shards 100] [--samples 256] [--fresh 0.1] [--repeats 3]
     [--backbone tiny] [--workers 2] [--folder DIR]

The demo crawl (flags, seed 2026), cut anew into tars of ``--samples``. Root 1 curates all of it at
once. Root 2 curates the first nine tenths, then the whole source again, which is the refresh; it
is repeated on copies of the root. Labels come from a CLIP of random weights, which cost as much as
trained ones, and every label is kept. One tar is curated before, so that what is compiled on first
use is compiled.

Steps are called as the graph of `refresh` calls them, in one process a run, so the start of a
dozen processes is out of the clock, and so are most imports; a step's own workers and models are
in it. CPU seconds are those of the process and all below it. Training shards are a global shuffle,
cut anew whatever has grown: their share is told apart.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.refresh_steps import Run

_GOAL = 0.12
_SHUFFLED = "build_shards"


def apart(name: str, *given: Any) -> Any:
    """A function of `refresh_steps` in a process of its own: no run has what another has loaded."""
    # Not a `Pool`, whose processes may have no children.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_call, name, *given).result()


def _call(name: str, *given: Any) -> Any:
    from benchmarks import refresh_steps

    step: Callable[..., Any] = getattr(refresh_steps, name)
    return step(*given)


def show(whole: "Run", first: "Run", refreshed: "list[Run]") -> None:
    """Wall and CPU seconds by step; of several refreshes the medians."""
    print(f"{'seconds: wall / CPU':<22}{'whole':>18}{'first part':>18}{'refresh':>18}")
    for step in whole.steps:
        middle = [median(run.steps[step][i] for run in refreshed) for i in (0, 1)]
        cells = (
            f"{wall:9.2f} /{cpu:7.2f}"
            for wall, cpu in (whole.steps[step], first.steps[step], middle)
        )
        print(f"{step:<22}" + "".join(cells))
    for name, without in (("to the published set", (_SHUFFLED,)), ("with training shards", ())):
        for field in ("wall", "cpu"):
            all_of_it = getattr(whole.total(*without), field)
            ratios = [getattr(run.total(*without), field) / all_of_it for run in refreshed]
            listed = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
            print(f"refresh / whole, {name}, {field}: {median(ratios):.3f} ({listed})")
    print(f"goal: at most {_GOAL} where a tenth is fresh")


def measure(folder: Path, options: argparse.Namespace) -> None:
    old = options.shards - max(1, round(options.shards * options.fresh))
    apart("write_crawl", folder, options.shards, options.samples, options.workers)
    apart("write_labeler", folder, options.backbone)
    (folder / "growing").mkdir()
    tars = sorted((folder / "crawl").iterdir())
    os.link(tars[0], folder / "growing" / tars[0].name)
    apart("curate", folder / "root-0", folder / "growing", folder, 1)
    for tar in tars[1:old]:
        os.link(tar, folder / "growing" / tar.name)
    whole = apart("curate", folder / "root-1", folder / "crawl", folder, options.workers)
    first = apart("curate", folder / "root-2", folder / "growing", folder, options.workers)
    for tar in tars[old:]:
        os.link(tar, folder / "growing" / tar.name)
    refreshed = []
    for number in range(options.repeats):
        root = folder / f"refresh-{number}"
        shutil.copytree(folder / "root-2", root)
        refreshed.append(apart("curate", root, folder / "growing", folder, options.workers))
        print(apart("compare", whole.dataset, refreshed[-1].dataset))
        shutil.rmtree(root)
    print(f"{options.shards} shards of {options.samples}, {options.shards - old} of them fresh")
    show(whole, first, refreshed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--samples", type=int, default=256, help="of one shard")
    parser.add_argument("--fresh", type=float, default=0.1, help="share of the shards")
    parser.add_argument("--repeats", type=int, default=3, help="of the refresh")
    parser.add_argument("--backbone", default="tiny", help="of the labeler: bundled or open_clip's")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="kept afterwards; it must not exist yet")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True)
        measure(options.folder.absolute(), options)
        return
    with tempfile.TemporaryDirectory(prefix="openmofi-benchmark-") as name:
        measure(Path(name), options)


if __name__ == "__main__":
    main()
