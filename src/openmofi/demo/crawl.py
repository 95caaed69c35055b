"""Writes the demo crawl: two crawls, a knowledge base, an evaluation set, and the truth apart."""

import json
import math
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openmofi.demo import noise
from openmofi.demo.mixture import Mixture, settle_domains
from openmofi.demo.samples import Seed, sample_files
from openmofi.demo.tables import evaluation_folder, write_class_names, write_knowledge_base
from openmofi.errors import InputError
from openmofi.files import new_folder
from openmofi.progress import bar, say
from openmofi.shards import write_tar
from openmofi.workers import exit_with_parent, one_thread_each

EVALUATION_IMAGES = 10  # a class
_PARTS = {"crawl": 1, "labeler": 2, "evaluation": 3}  # second half of each part's seed
_MARK = "crawl.json"


@dataclass(frozen=True)
class CrawlPlan:
    """What a demo crawl is made from; the same plan gives the same bytes.

    Args:
        pairs: Samples of the crawl.
        labeler_pairs: Samples of the labeler's crawl.
        seed: Of everything.
        domain: One or several, between commas.
        generator_version: See `openmofi.demo.noise`.
    """

    pairs: int
    labeler_pairs: int
    seed: int
    domain: str = "flags"
    generator_version: int = noise.GENERATOR_VERSION


def write_demo_crawl(
    out: Path,
    *,
    pairs: int = 4000,
    seed: int = 1,
    labeler_pairs: int | None = None,
    domains: Sequence[str] = ("flags",),
    workers: int = 2,
) -> Path:
    """Write the whole demo crawl, or find it there already.

    Args:
        out: The folder to make. It appears when it is complete.
        pairs: Samples of the crawl, of all domains together.
        seed: Of everything.
        labeler_pairs: Samples of the crawl that the labeler is trained on; None takes ``pairs``.
        domains: What is drawn. The evaluation images of several lie in a folder for each.
        workers: Processes.

    Returns:
        ``out``.

    Raises:
        InputError: ``out`` holds something else, or an argument makes no sense.
    """
    plan = _settle(pairs, pairs if labeler_pairs is None else labeler_pairs, seed, domains)
    if _is_there(out, plan):
        say(f"demo crawl: {out} is there already, reused")
        return out
    with new_folder(out) as folder:
        _write_all(folder, plan, workers)
    say(f"demo crawl: {plan.pairs} pairs and {plan.labeler_pairs} for the labeler in {out}")
    return out


def _settle(pairs: int, labeler_pairs: int, seed: int, domains: Sequence[str]) -> CrawlPlan:
    if min(pairs, labeler_pairs) < 1 or seed < 0:
        raise InputError("demo crawl: pairs must be at least 1 and the seed at least 0")
    return CrawlPlan(pairs, labeler_pairs, seed, ",".join(settle_domains(domains)))


def _is_there(out: Path, plan: CrawlPlan) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / _MARK).read_text(encoding="utf-8"))["plan"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{out} is there and is no demo crawl; give another --out") from None
    if found != asdict(plan):
        differing = [name for name, value in asdict(plan).items() if found.get(name) != value]
        raise InputError(
            f"{out} holds another demo crawl ({differing[0]} is {found.get(differing[0])}, "
            f"wanted {asdict(plan)[differing[0]]}); delete it or give another --out"
        )
    return True


@dataclass(frozen=True)
class _Job:
    """Samples ``start`` to ``stop`` of a crawl as one shard, or classes of the evaluation set."""

    folder: Path
    plan: CrawlPlan
    part: str
    number: int
    start: int
    stop: int

    @property
    def seed(self) -> Seed:
        return (self.plan.seed, _PARTS[self.part])


def _write_all(folder: Path, plan: CrawlPlan, workers: int) -> None:
    mixture = Mixture(plan.domain.split(","))
    write_knowledge_base(folder / "knowledge_base.csv", mixture.domains)
    for name in ("crawl", "labeler", "evaluation", "truth"):
        (folder / name).mkdir()
    write_class_names(folder / "evaluation", mixture.domains)
    jobs = [
        *_shard_jobs(folder, plan, "crawl", plan.pairs),
        *_shard_jobs(folder, plan, "labeler", plan.labeler_pairs),
        *(_Job(folder, plan, "evaluation", i, i, i + 1) for i in range(len(mixture.classes))),
    ]
    truth: dict[str, list[dict[str, Any]]] = {"crawl": [], "labeler": [], "evaluation": []}
    done = _run_jobs(jobs, workers)
    for part, rows in bar(done, label="demo crawl", total=len(jobs), unit="part"):
        truth[part] += rows
    for part in ("crawl", "labeler"):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in truth[part])
        (folder / "truth" / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    shares = {
        name.lower(): getattr(noise, name)
        for name in ("TEXT_KINDS", "FAULTS", "RENDERED_TEXT", "TITLES", "LOWER_CASE", "FAME_POWER")
    }
    mark = {"plan": asdict(plan), "shares": shares, "classes": len(mixture.classes)}
    (folder / _MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")


def _shard_jobs(folder: Path, plan: CrawlPlan, part: str, pairs: int) -> list[_Job]:
    size = _shard_size(pairs)
    starts = range(0, pairs, size)
    return [
        _Job(folder, plan, part, number, start, min(start + size, pairs))
        for number, start in enumerate(starts)
    ]


def _shard_size(pairs: int) -> int:
    """Samples for eight shards, or what keeps them between 128 and 500."""
    return min(500, max(128, math.ceil(pairs / 8)))


def _run_jobs(jobs: list[_Job], workers: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Results in the order of the jobs, whatever the number of processes."""
    if workers <= 1:
        yield from map(_run_job, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with (
        one_thread_each(),
        ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),)) as pool,
    ):
        yield from pool.map(_run_job, jobs)


def _start_worker(parent: int) -> None:
    threading.Thread(target=exit_with_parent, args=(parent,), daemon=True).start()


_mixtures: dict[str, Mixture] = {}  # a process draws each flat picture once


def _run_job(job: _Job) -> tuple[str, list[dict[str, Any]]]:
    named = job.plan.domain
    if named not in _mixtures:
        _mixtures[named] = Mixture(named.split(","))
    if job.part == "evaluation":
        return job.part, _write_class(job, _mixtures[named])
    return job.part, _write_shard(job, _mixtures[named])


def _write_class(job: _Job, mixture: Mixture) -> list[dict[str, Any]]:
    domain, entity = mixture.classes[job.start]
    folder = job.folder / "evaluation" / evaluation_folder(mixture.domains, domain, entity)
    folder.mkdir()
    for number in range(EVALUATION_IMAGES):
        data = mixture.evaluation_image(domain, entity, number, job.seed)
        (folder / f"{number:03d}.jpg").write_bytes(data)
    return []


def _write_shard(job: _Job, mixture: Mixture) -> list[dict[str, Any]]:
    pairs = job.plan.pairs if job.part == "crawl" else job.plan.labeler_pairs
    plans = mixture.plan(pairs, job.seed)
    size = _shard_size(pairs)
    keys = [f"{i // size:05d}{i % size:04d}" for i in range(job.stop)]
    truth: list[dict[str, Any]] = []

    def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
        for index in range(job.start, job.stop):
            made = plans.make(index)
            original = plans.original(index)
            truth.append(
                {
                    "shard": f"{job.number:05d}",
                    "key": keys[index],
                    **made.truth,
                    "duplicate_of": None if original == index else keys[original],
                    "sha256": made.metadata["sha256"],
                }
            )
            yield keys[index], sample_files(keys[index], made)

    write_tar(job.folder / job.part / f"{job.number:05d}.tar", samples())
    return truth
