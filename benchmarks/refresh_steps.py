"""What `benchmarks.refresh` runs, in processes of their own: a crawl, a labeler, the steps.

Apart from the command, whose imports every worker of a step would repeat.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
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


def write_crawl(folder: Path, shards: int, samples: int, workers: int) -> None:
    """The demo crawl in ``demo/``, its pairs in ``shards`` tars of ``crawl/``."""
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
