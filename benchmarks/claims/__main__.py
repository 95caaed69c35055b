"""Run: python -m benchmarks.claims [--config FILE.yaml] [--out build/claims] [--jobs 2]

Draws the crawl, curates it, trains and evaluates every arm with every seed, and writes
``claims.json``, ``claims.md`` and ``claims.svg``. Whatever was done before is found again: the
command may be killed at any time, and run again. ``--only data`` stops before the arms, ``--only
report`` reads what there is.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.claims.arms import ARMS, EXPLAINING
from benchmarks.claims.chart import Chart
from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.data import Place, curate, draw_crawl, training_shards
from benchmarks.claims.measured import Found, judge_all, read_seeds, values_by_seed
from benchmarks.claims.page import arms_table, claims_table, domains_table
from benchmarks.claims.runs import SHARDS, Task, plan, read_result, read_shards, run_all, run_task
from openmofi.config import parse_config, read_yaml
from openmofi.errors import InputError, OpenMofiError
from openmofi.evaluation.embedders import colour_histogram
from openmofi.evaluation.run import draws_of
from openmofi.files import write_text
from openmofi.progress import say
from openmofi.tracking import mlflow_client
from openmofi.workers import usable_cores


def main() -> int:
    options = _options()
    try:
        _run(options)
    except OpenMofiError as error:
        print(f"claims: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("claims: interrupted; run it again, what is done is not done twice", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    config = _config(options)
    out = options.out.absolute()
    root = options.root or (out / "root").as_uri()
    place = Place(out / "crawl", root, usable_cores())
    if options.arm:
        run_task(_task(options, config, place, out), out / "arms")
        return
    if options.only != "report":
        started = time.monotonic()
        draw_crawl(config, place)
        curated = curate(config, place)
        shards = training_shards(config, place, curated)
        beside = {**asdict(curated), "seconds": round(time.monotonic() - started, 1)}
        write_text(json.dumps({"shards": shards, **beside}, indent=1) + "\n", out / SHARDS)
        say(f"claims: data ready in {beside['seconds']:.0f} s")
    if options.only == "data":
        return
    tasks = plan(config, read_shards(out), place.evaluation)
    if options.only != "report":
        # Of a new SQLite file two arms would make the tables at once, and one of them fail.
        mlflow_client().search_experiments(max_results=1)
        run_all(tasks, out / "arms", options.jobs, lambda task: _command(options, task))
    report(tasks, config, out)


def _config(options: argparse.Namespace) -> ClaimsConfig:
    data = read_yaml(options.config)
    if options.crawl_seed is not None:
        data["crawl"]["seed"] = options.crawl_seed
    if options.steps is not None:
        data["training"]["max_steps"] = options.steps
    return parse_config(ClaimsConfig, data, where=str(options.config))


def report(tasks: Sequence[Task], config: ClaimsConfig, out: Path) -> None:
    """Write what was found; every arm needs all of its seeds.

    Raises:
        InputError: An arm has no result yet.
    """
    results: dict[str, list[dict[str, Any]]] = {arm.name: [] for arm in ARMS}
    for task in tasks:
        found = read_result(out / "arms", task)
        if found is None:
            raise InputError(f"arm {task.name} has no result yet; run without --only report")
        results[task.arm].append(found)
    arms = {name: read_seeds(one) for name, one in results.items()}
    draws = draws_of(config.evaluate)
    values = {name: values_by_seed(seeds, draws) for name, seeds in arms.items()}
    histogram = read_seeds(results[ARMS[0].name][:1], colour_histogram().digest)
    values["colour histogram"] = values_by_seed(histogram, draws)
    judged = judge_all(arms, config.evaluate)
    tables = [arms_table(values), domains_table(values), claims_table(judged)]
    write_text("\n\n".join(tables) + "\n", out / "claims.md")
    write_text(Chart(judged).svg(), out / "claims.svg")
    write_text(_plain(results, values, judged), out / "claims.json")
    print("\n\n".join(tables))
    print(f"\n{out / 'claims.md'}, {out / 'claims.svg'}, {out / 'claims.json'}")


def _plain(results: Any, values: Any, judged: Sequence[Found]) -> str:
    claims = [
        {
            **asdict(one.claim),
            "difference": asdict(one.difference),
            "by_seed": list(one.by_seed),
            "verdict": one.verdict,
        }
        for one in judged
    ]
    body = {"arms": results, "values": values, "claims": claims}
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def _task(options: argparse.Namespace, config: ClaimsConfig, place: Place, out: Path) -> Task:
    arms = (*ARMS, *EXPLAINING)
    every = plan(config, read_shards(out), place.evaluation, arms)
    tasks = {task.name: task for task in every}
    if options.arm not in tasks:
        raise InputError(f"--arm {options.arm}: one of {', '.join(tasks)}")
    return tasks[options.arm]


def _command(options: argparse.Namespace, task: Task) -> list[str]:
    names = ("config", "out", "root", "crawl_seed", "steps")
    given = {name: getattr(options, name) for name in names}
    told = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in given.items()
        if value not in (None, "")
    ]
    return ["-m", "benchmarks.claims", *told, "--arm", task.name]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="claims", description=__doc__.partition("\n")[2])
    parser.add_argument("--config", type=Path, default=Path("benchmarks/claims/claims.yaml"))
    parser.add_argument("--out", type=Path, default=Path("build/claims"))
    parser.add_argument("--root", default="", help="the store (default: OUT/root)")
    parser.add_argument("--crawl-seed", type=int, help="of another crawl than the config's")
    parser.add_argument("--steps", type=int, help="of another length than the config's")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="arms at once")
    parser.add_argument("--only", choices=("data", "report"), help="a part of it")
    parser.add_argument("--arm", default="", help="one arm and seed, as multitask-0")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
