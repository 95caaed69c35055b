"""What ``openmofi labeling calibrate`` is judged by: truth in two halves, and wrong captions.

Run: python -m benchmarks.label_truth photos --pairs DIR --out DIR [--seed 0]
     python -m benchmarks.label_truth demo --truth build/demo-crawl/truth/crawl.jsonl --out DIR
     python -m benchmarks.label_truth text --truth build/demo-crawl/truth/crawl.jsonl --out LIST.tsv

``photos`` writes ``pairs``: every photograph twice, once with its own caption and once with that of
another, so that half of the captions are wrong; what a photograph shows is its ``wordnet_id``, read
here and by no stage. Both write ``a.jsonl`` and ``b.jsonl``: a cut is chosen on one half and
measured on the other. A picture is in one half only, with all of its captions. ``text`` writes the
label list that `benchmarks.text_photos` judges text regions by; broken pictures are left out.
"""

import argparse
import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openmofi.shards import TarReader, index_tar, write_tar


def half_of(picture: str) -> str:
    return "ab"[hashlib.sha256(picture.encode()).digest()[0] % 2]


def write_halves(out: Path, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Rows of truth, each with the name of its picture."""
    halves: dict[str, list[str]] = {"a": [], "b": []}
    for picture, row in rows:
        halves[half_of(picture)].append(json.dumps(row))
    for half, lines in halves.items():
        (out / f"{half}.jsonl").write_text("".join(f"{line}\n" for line in lines))
        print(f"{out / half}.jsonl: {len(lines)} images")


def photos(options: argparse.Namespace) -> None:
    shards: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
    for path in sorted(options.pairs.glob("*.tar")):
        with TarReader(path) as tar:
            shards[path.stem] = [
                (sample.key, members) for sample, members in tar.members(index_tar(path))
            ]
    captions = [members["txt"] for samples in shards.values() for _, members in samples]
    ids = {
        key: json.loads(members["json"])["wordnet_id"]
        for samples in shards.values()
        for key, members in samples
    }
    # Shuffled, then moved on by one, so that no photograph gets its own.
    order = random.Random(options.seed).sample(range(len(captions)), len(captions))
    wrong = {order[n]: captions[order[n - 1]] for n in range(len(order))}
    (options.out / "pairs").mkdir(parents=True, exist_ok=True)
    truth, number = [], 0
    for shard, samples in shards.items():
        written = []
        for key, members in samples:
            for suffix, caption in (("", members["txt"]), ("w", wrong[number])):
                written.append((f"{key}{suffix}", {"jpg": members["jpg"], "txt": caption}))
                row = {"shard": shard, "key": f"{key}{suffix}", "entity_ids": [ids[key]]}
                truth.append((key, row))
            number += 1
        write_tar(options.out / "pairs" / f"{shard}.tar", written)
    write_halves(options.out, truth)


def demo(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in options.truth.read_text().splitlines()]
    write_halves(options.out, ((row["sha256"], row) for row in rows))


def text(options: argparse.Namespace) -> None:
    rows = [json.loads(line) for line in options.truth.read_text().splitlines()]
    lines = [
        f"{row['shard']}\t{row['key']}\t{'text' if row['has_text'] else 'none'}\tsure\t"
        for row in rows
        if row["fault"] not in ("truncated", "not_an_image")
    ]
    options.out.write_text("shard\tkey\ttext\thow sure\tnote\n" + "\n".join(lines) + "\n")
    print(f"{options.out}: {len(lines)} pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = parser.add_subparsers(required=True)
    for name, run in (("photos", photos), ("demo", demo), ("text", text)):
        kind = kinds.add_parser(name)
        kind.add_argument("--out", type=Path, required=True)
        kind.set_defaults(run=run)
        if name == "photos":
            kind.add_argument("--pairs", type=Path, required=True)
            kind.add_argument("--seed", type=int, default=0)
        else:
            kind.add_argument("--truth", type=Path, required=True)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
