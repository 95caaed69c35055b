"""Throughput of the pool over S3 beside a folder, and how long the product's steps wait for either.

Run: python -m benchmarks.object_store [--pairs 4000] [--rounds 5] [--steps 300] [--json FILE]
     [--parts calls steps] [--root s3://BUCKET/PREFIX]

Folder and S3 hold the same objects and take turns in each round, the first one changing. S3 is a
Swift on this machine, which starts for the benchmark (``make setup`` installs it), or with --root
the store that the environment names, such as that of ``make stack``; an empty prefix of it.

* calls: whole pool shards, single images by range, listings, small objects; and the same shards by
  a plain client, which is the store's own floor.
* steps: ingest, embedding, epochs of training data without a model (streamed and held, one to
  three processes that decode) and training of the demo's recipe for --steps, a checkpoint every
  hundred. Each runs in a process of its own with an empty cache. As in a step of the pipeline,
  its imports (but those of the epochs), models, manifests and publishing are in the clock. The
  demo's pool is embedded in seconds, of which imports are half, so it is embedded once more with
  its modules loaded before (embed_loaded): a fetched model is a larger part of that.

Waiting is what `openmofi.store_wait` says: seconds in which the working thread could do nothing
else; training processes are asked, too. Its goal is below 5 % for embedding and training over S3.
Page caches are warm in both places. A folder under /tmp is on this machine's disk.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.object_store_calls import CALLS, Subject, plain_client, time_call, write_many
from openmofi.errors import InputError
from openmofi.storage import open_store
from openmofi.workers import exit_with_parent, usable_cores

_GOAL = 0.05
_PLACES = ("folder", "s3")
_KEYS = 1000
_TESTS = Path(__file__).parents[1] / "tests"
Rows = dict[str, dict[str, list[dict[str, float]]]]  # by what was done and where, a row a round


def apart(name: str, *given: Any) -> Any:
    """A function of `object_store_steps` in a process of its own, with an empty cache."""
    with tempfile.TemporaryDirectory(prefix="openmofi-cache-") as cache:
        os.environ["OPENMOFI_CACHE"] = cache
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_call, name, *given).result()


def _call(name: str, *given: Any) -> Any:
    from benchmarks import object_store_steps

    threading.Thread(target=exit_with_parent, args=(os.getppid(),), daemon=True).start()
    return getattr(object_store_steps, name)(*given)


def turns(rounds: int) -> Iterator[tuple[int, str]]:
    for number in range(rounds):
        for place in _PLACES[:: 1 if number % 2 else -1]:
            yield number, place


def measure_calls(roots: Mapping[str, str], options: argparse.Namespace) -> Rows:
    rows: Rows = {name: {place: [] for place in _PLACES} for name in CALLS}
    subjects = {place: _subject(root, roots["folder"], options) for place, root in roots.items()}
    for _, place in turns(options.rounds):
        for name in CALLS:
            rows[name][place].append(time_call(name, subjects[place])._asdict())
    return rows


def _subject(root: str, folder: str, options: argparse.Namespace) -> Subject:
    store = open_store(root)
    tars = sorted(info.key for info in store.list("pool/"))
    local = [Path(folder.removeprefix("file://"), key) for key in tars]
    write_many(store, _KEYS)
    return Subject(store, plain_client(root), tars, local, _KEYS, options.puts)


def measure_steps(
    roots: Mapping[str, str], folder: Path, options: argparse.Namespace, rows: Rows
) -> None:
    crawl = folder / "demo" / "crawl"
    epochs = [(streamed, workers) for streamed in (True, False) for workers in options.workers]
    for number, place in turns(options.rounds):
        root, made = roots[place], {}
        fresh = f"{root}-{number}"
        made["ingest"] = apart("measure", "ingest", fresh, crawl)
        apart("forget", fresh, "")
        for step in ("embed", "embed_loaded"):
            made[step] = apart("measure", step, root)
            apart("forget", root, "tables/image_embeddings/", "manifests/image_embeddings/")
        for streamed, workers in epochs:
            name = f"read epochs, {'streamed' if streamed else 'held'}, workers {workers}"
            given = (root, options.epochs, workers, streamed)
            made[name] = apart("measure", "read_epochs", *given)
        mlflow = f"sqlite:///{folder}/mlflow-{place}-{number}.db"
        made["train"] = apart("measure", "train", root, options.steps, mlflow)
        apart("forget_training", root)
        for name, spent in made.items():
            found = rows.setdefault(name, {one: [] for one in _PLACES})
            found[place].append(spent._asdict())
        print(f"round {number + 1} of {options.rounds}: {place} done", file=sys.stderr, flush=True)


def show_calls(rows: Rows) -> None:
    print(f"\n{'calls: median (lowest to highest)':<34}{'folder':>30}{'s3':>30}{'s3/folder':>11}")
    for name, by_place in rows.items():
        unit, rates = _rates(name, by_place)
        cells = [f"{_spread(rates[place])} {unit}" for place in _PLACES]
        ratio = median(rates["s3"]) / median(rates["folder"])
        print(f"{name:<34}" + "".join(f"{cell:>30}" for cell in cells) + f"{ratio:>11.3f}")
    images = {
        place: [row["count"] / row["seconds"] for row in rows["read shards"][place]]
        for place in _PLACES
    }
    print(
        f"{'read shards':<34}" + "".join(f"{_spread(images[p]) + ' images/s':>30}" for p in images)
    )


def _rates(
    name: str, by_place: Mapping[str, Sequence[Mapping[str, float]]]
) -> tuple[str, dict[str, list[float]]]:
    """Bytes where whole shards go, else calls or keys."""
    shards = "shards" in name
    unit, what, scale = ("MiB/s", "bytes", 1 << 20) if shards else ("/s", "count", 1)
    return unit, {
        place: [row[what] / scale / row["seconds"] for row in rows]
        for place, rows in by_place.items()
    }


def show_steps(rows: Rows) -> None:
    print(
        f"\n{'steps: median seconds (range)':<34}{'folder':>24}{'s3':>24}{'s3/folder':>11}"
        f"{'waited, folder':>16}{'waited, s3':>12}{'MiB held, s3':>14}"
    )
    for name, by_place in rows.items():
        seconds = {place: [row["seconds"] for row in by_place[place]] for place in _PLACES}
        waited = {
            place: median(
                (row["reads"] + row["writes"]) / row["seconds"] for row in by_place[place]
            )
            for place in _PLACES
        }
        ratio = median(seconds["s3"]) / median(seconds["folder"])
        memory = max(row["memory"] for row in by_place["s3"])
        print(
            f"{name:<34}{_spread(seconds['folder']):>24}{_spread(seconds['s3']):>24}{ratio:>11.3f}"
            f"{waited['folder']:>16.2%}{waited['s3']:>12.2%}{memory:>14.0f}"
        )
        if name in ("embed", "train"):
            print(f"  goal below {_GOAL:.0%}: {'reached' if waited['s3'] < _GOAL else 'MISSED'}")


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


@contextlib.contextmanager
def s3_root(folder: Path, named: str) -> Iterator[str]:
    if named:
        if next(iter(open_store(named).list()), None) is not None:
            raise InputError(f"--root {named} holds something; name an empty prefix")
        yield named.rstrip("/") + "/root"
        return
    sys.path.insert(0, str(_TESTS))
    from support.swift_server import BUCKET, serving

    (folder / "swift").mkdir()
    with serving(folder / "swift") as server:
        os.environ.update(server.environment)
        yield f"s3://{BUCKET}/root"


def machine() -> dict[str, Any]:
    names = ("minio", "urllib3", "torch", "pyarrow")
    return {
        "cores": usable_cores(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "load": os.getloadavg(),
    }


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    before = machine()
    root = folder / "root"
    apart("prepare", folder, root, options.pairs, usable_cores())
    with s3_root(folder, options.root) as s3:
        roots = {"folder": root.as_uri(), "s3": s3}
        apart("copy_root", root, s3)
        calls, steps = {}, {}
        if "calls" in options.parts:
            calls = measure_calls(roots, options)
            show_calls(calls)
        if "steps" in options.parts:
            measure_steps(roots, folder, options, steps)
            show_steps(steps)
        if options.root:
            apart("forget", options.root, "")
    named = {name: value for name, value in vars(options).items() if name != "json"}
    return {"machine": before, "options": named, "calls": calls, "steps": steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=4000, help="of the demo crawl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300, help="of a training")
    parser.add_argument("--epochs", type=int, default=2, help="of training data")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 3], help="of the epochs")
    parser.add_argument("--puts", type=int, default=200, help="small objects")
    parser.add_argument(
        "--parts", nargs="+", choices=["calls", "steps"], default=["calls", "steps"]
    )
    parser.add_argument("--root", default="", help="an S3 root to use instead of an own Swift")
    parser.add_argument("--json", type=Path, help="write every round's figures")
    options = parser.parse_args()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="openmofi-benchmark-"))
    try:
        result = measure(folder, options)
    finally:
        shutil.rmtree(folder)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
