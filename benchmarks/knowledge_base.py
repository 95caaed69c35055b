"""Building a knowledge base at scale, as a user does, by `openmofi kb build`: time, memory, sizes.

Run: python -m benchmarks.knowledge_base csv [--entities 2000000] [--pairs 5000000]
     python -m benchmarks.knowledge_base dump --file DUMP.json.gz [--json-bytes N] [--workers 2]
Sources are generated (``csv``) or given (``dump``, as `wikidata_dump` writes them). Memory is the
private part of all processes together, sampled ten times a second; shared pages count once, as the
page cache. ``MB/s`` is of JSON, decompressed. The first build of a machine also compiles; it is
made warm before the clock starts.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.matching_data import make_aliases, make_words, zipf

_OPENMOFI = str(Path(sys.executable).with_name("openmofi"))
_HEAD = ["entity_id", "name", "aliases", "description", "prior", "parents"]
_WORDS = 8  # of a description


def write_table(path: Path, entities: int, pairs: int) -> None:
    """A CSV of entities with Zipf words in names and descriptions, homonyms and one parent each."""
    generator = np.random.default_rng(0)
    words = make_words(generator)
    aliases = make_aliases(generator, words, entities, pairs)
    names: list[list[str]] = [[] for _ in range(entities)]
    for name, owner in zip(aliases.names, aliases.entities.tolist(), strict=True):
        names[owner].append(name)
    ranks = zipf(generator, entities * _WORDS, len(words)).reshape(entities, _WORDS)
    parents = generator.integers(0, max(1, entities // 200), entities).tolist()
    priors = generator.integers(1, 300, entities).tolist()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEAD)
        for row in range(entities):
            first, *others = names[row]
            described = " ".join(words[ranks[row]])
            writer.writerow(
                [f"e{row}", first, "|".join(others), described, priors[row], f"e{parents[row]}"]
            )


def run(command: Sequence[str]) -> tuple[float, int]:
    """Wall seconds of a command, and the most private memory that it and its children held."""
    start, most = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, sum(map(_private_bytes, _family(process.pid))))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, most


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _private_bytes(pid: int) -> int:
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    except OSError:
        return 0
    return (int(resident) - int(shared)) * 4096


def _build(source: Sequence[str], folder: Path) -> dict[str, object]:
    out = folder / "kb"
    seconds, memory = run([_OPENMOFI, "kb", "build", *source, "--out", str(out)])
    head = json.loads((out / "kb.json").read_text())
    sizes = {
        path.relative_to(out).as_posix(): round(
            sum(f.stat().st_size for f in ([path] if path.is_file() else path.iterdir())) / 1e6, 1
        )
        for path in sorted(out.iterdir())
    }
    return {
        "entities": head["entities"],
        "aliases": head["aliases"],
        "pairs": head["counts"]["alias_entity_pairs"],
        "seconds": round(seconds, 1),
        "peak MB": round(memory / 1e6),
        "MB on disk": sizes,
    }


def _warm(folder: Path) -> None:
    (folder / "one.csv").write_text(",".join(_HEAD) + "\nQ1,a name,,described,1,\n")
    run([_OPENMOFI, "kb", "build", "--csv", str(folder / "one.csv"), "--out", str(folder / "one")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("csv", "dump"))
    parser.add_argument("--entities", type=int, default=2_000_000)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--json-bytes", type=int, help="of the dump, decompressed; else counted")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="openmofi-benchmark-"))
    try:
        _warm(folder)
        if arguments.kind == "csv":
            write_table(folder / "kb.csv", arguments.entities, arguments.pairs)
            result = _build(["--csv", str(folder / "kb.csv")], folder)
        else:
            workers = ["--workers", str(arguments.workers)]
            result = _build(["--wikidata", str(arguments.file), *workers], folder)
            size = arguments.json_bytes or _json_bytes(arguments.file)
            result["JSON MB"] = round(size / 1e6)
            result["MB/s"] = round(size / 1e6 / float(str(result["seconds"])))
        print(json.dumps(result, indent=1))
    finally:
        shutil.rmtree(folder)


def _json_bytes(path: Path) -> int:
    """Decompressed size, by gzip or bzip2."""
    tool = {".gz": ["gzip", "-dc"], ".bz2": ["bzip2", "-dc"]}.get(path.suffix, ["cat"])
    process = subprocess.Popen([*tool, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    return sum(len(piece) for piece in iter(lambda: process.stdout.read(1 << 20), b""))


if __name__ == "__main__":
    main()
