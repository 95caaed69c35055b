"""What a refresh costs of a whole run, and whether its tables are the same.

Run: python -m benchmarks.refresh [--shards 100] [--samples 256] [--fresh 0.1] [--repeats 3]
     [--backbone tiny] [--workers 2] [--folder DIR]

The demo crawl (flags, seed 2026), cut anew into tars of ``--samples``. Root 1 curates all of it at
once. Root 2 curates the first nine tenths, then the whole source again, which is the refresh; it
is repeated on copies of the root. Labels come from a CLIP of random weights, which cost as much as
trained ones, and every label is kept.

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
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.gate import check_data
from openmofi.dataset.training_shards import build_shards
from openmofi.dataset.versions.published import publish
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.demo.crawl import write_demo_crawl
from openmofi.entities.build import build_knowledge_base
from openmofi.entities.link import link_entities
from openmofi.ingest.run import ingest_pairs, plan_groups
from openmofi.labeling.embed import embed_images
from openmofi.labeling.score import label_images
from openmofi.models.backbones import create_backbone, export_folder, read_backbone_config
from openmofi.models.importing import import_model
from openmofi.shards import TarReader, index_tar, write_tar
from openmofi.textregions.detect import detect_text

_SEED = 2026
_GOAL = 0.12
_SHUFFLED = "build_shards"
_ASSEMBLE = {"min_score": -1.0, "min_images_per_entity": 1}
# Small crawls shrink and drift by chance; what the gate decides is not measured here.
_GATE = {"min_growth": -1, "max_drift": 1000, "max_score_drift": None, "max_failure_fraction": 1,
         "max_new_failure_fraction": None}  # fmt: skip


class Spent(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float

    def __add__(self, other: Any) -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)


class Run(NamedTuple):
    """The version, and what each step has cost."""

    dataset: str
    steps: dict[str, Spent]

    def total(self, *without: str) -> Spent:
        return sum((v for k, v in self.steps.items() if k not in without), Spent(0, 0))


def curate(root: Path, source: Path, folder: Path, workers: int) -> Run:
    """From a source to training shards, each step timed."""
    steps: dict[str, Spent] = {}

    def timed(step: Callable[..., Any], *given: Any, **options: Any) -> Any:
        started, used = time.perf_counter(), cpu_seconds()
        made = step(*given, **options)
        spent = Spent(time.perf_counter() - started, cpu_seconds() - used)
        steps[step.__name__] = spent
        return made

    store = root.as_uri()
    base = timed(build_knowledge_base, store, csv=str(folder / "demo/knowledge_base.csv"))
    model = timed(import_model, store, source=str(folder / "labeler"))
    [group] = timed(plan_groups, store, source=str(source))
    samples = timed(ingest_pairs, group, workers=workers)
    mentions = timed(link_entities, samples, base, workers=workers)
    embeddings = timed(embed_images, samples, model)
    scores = timed(label_images, embeddings, mentions, base, model, workers=workers)
    dataset = timed(
        assemble_dataset,
        samples=[samples],
        mentions=[mentions],
        image_embeddings=[embeddings],
        entity_scores=[scores],
        text_regions=[timed(detect_text, samples, workers=workers)],
        knowledge_base=base,
        config=_ASSEMBLE,
        parent="published:main",
        workers=workers,
    )
    decision = timed(check_data, dataset, parent="published:main", config=_GATE)
    assert decision.passed, decision.reasons
    timed(publish, dataset, why="refresh")
    timed(build_shards, dataset, workers=workers)
    return Run(dataset, steps)


def cpu_seconds() -> float:
    """Of this process and all below it, whether they still run or have been waited for."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(path.parent.name)] = int(fields[1])
        used[int(path.parent.name)] = sum(map(int, fields[11:15]))
    family = [os.getpid()]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return sum(used[one] for one in family if one in used) / os.sysconf("SC_CLK_TCK")


def apart(*given: Any) -> Run:
    """`curate` in a process of its own, so that no run has what another has loaded."""
    # Not a `Pool`, whose processes may have no children.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(curate, *given).result()


def write_crawl(folder: Path, shards: int, samples: int, workers: int) -> None:
    """The demo crawl in ``demo/``, its pairs in ``shards`` tars of ``crawl/``, a labeler."""
    write_demo_crawl(
        folder / "demo", pairs=shards * samples, labeler_pairs=1, seed=_SEED, workers=workers
    )
    pairs = _pairs(folder / "demo/crawl")
    (folder / "crawl").mkdir()
    for number in range(shards):
        cut = (pair for _, pair in zip(range(samples), pairs, strict=False))
        write_tar(folder / f"crawl/{number:05}.tar", cut)


def write_labeler(folder: Path, backbone: str) -> None:
    model = create_backbone(backbone, seed=1)
    export_folder(model, *read_backbone_config(backbone), folder / "labeler")


def _pairs(folder: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    for path in sorted(folder.glob("*.tar")):
        with TarReader(path) as tar:
            for sample, members in tar.members(index_tar(path)):
                yield sample.key, members


def rows(version: Dataset) -> Iterator[tuple[str, list[Any]]]:
    """By shard, all that a version says of its samples, with entities for classes."""
    names = version.vocabulary().column("entity_id").to_pylist()
    for shard in version.shards:
        kept = [
            (one["row"], one["uid"], one["split"], [names[label] for label in one["labels"]])
            for one in version.kept(shard).to_pylist()
        ]
        yield shard.shard, kept + [tuple(r.values()) for r in version.dropped(shard).to_pylist()]


def compare(whole: str, refreshed: str) -> str:
    """One line; an error where the two differ."""
    found = [dict(rows(read_dataset(uri))) for uri in (whole, refreshed)]
    differing = sorted(n for n in found[0].keys() | found[1].keys()
                       if found[0].get(n) != found[1].get(n))  # fmt: skip
    if differing:
        raise SystemExit(f"tables differ in {len(differing)} shards, the first is {differing[0]}")
    count = sum(map(len, found[0].values()))
    return f"tables equal: {len(found[0])} shards, {count} rows (uid, split, entities, cause)"


def show(whole: Run, first: Run, refreshed: list[Run]) -> None:
    """Wall and CPU seconds by step; of several refreshes the medians."""
    print(f"{'seconds: wall / CPU':<22}{'whole':>18}{'first part':>18}{'refresh':>18}")
    for step in whole.steps:
        middle = Spent(*(median(run.steps[step][i] for run in refreshed) for i in (0, 1)))
        cells = (f"{one.wall:9.2f} /{one.cpu:7.2f}" for one in
                 (whole.steps[step], first.steps[step], middle))  # fmt: skip
        print(f"{step:<22}" + "".join(cells))
    for name, without in (("to the published set", (_SHUFFLED,)), ("with training shards", ())):
        for field in Spent._fields:
            all_of_it = getattr(whole.total(*without), field)
            ratios = [getattr(run.total(*without), field) / all_of_it for run in refreshed]
            listed = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
            print(f"refresh / whole, {name}, {field}: {median(ratios):.3f} ({listed})")
    print(f"goal: at most {_GOAL} where a tenth is fresh")


def measure(folder: Path, options: argparse.Namespace) -> None:
    old = options.shards - max(1, round(options.shards * options.fresh))
    write_crawl(folder, options.shards, options.samples, options.workers)
    write_labeler(folder, options.backbone)
    (folder / "growing").mkdir()
    tars = sorted((folder / "crawl").iterdir())
    for tar in tars[:old]:
        os.link(tar, folder / "growing" / tar.name)
    whole = apart(folder / "root-1", folder / "crawl", folder, options.workers)
    first = apart(folder / "root-2", folder / "growing", folder, options.workers)
    for tar in tars[old:]:
        os.link(tar, folder / "growing" / tar.name)
    refreshed = []
    for number in range(options.repeats):
        root = folder / f"refresh-{number}"
        shutil.copytree(folder / "root-2", root)
        refreshed.append(apart(root, folder / "growing", folder, options.workers))
        print(compare(whole.dataset, refreshed[-1].dataset))
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
