"""Resident memory of ``openmofi labeling embed`` over many images: does it stay flat?

Run: python -m benchmarks.embedding_memory --model FOLDER --out DIR [--images 100000] [--shard 1000]

Draws a crawl of small JPEGs in tar shards, ingests it, and embeds it by the command that a user
types, while the proportional set size of that process and its children is read every second.
"""

import argparse
import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from openmofi.ingest.run import ingest_pairs, plan_groups
from openmofi.models.importing import import_model
from openmofi.shards import write_tar

_PICTURES = 500  # different ones; more would only take longer to draw


def draw_crawl(folder: Path, images: int, shard: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(_PICTURES):
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        sink = io.BytesIO()
        Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC).save(sink, "JPEG")
        pictures.append(sink.getvalue())
    for start in range(0, images, shard):
        samples = [
            (f"{n:09d}", {"txt": f"picture {n}".encode(), "jpg": pictures[n % _PICTURES]})
            for n in range(start, start + shard)
        ]
        write_tar(folder / f"{start // shard:05d}.tar", samples)


def memory(root: int) -> int:
    """Bytes of a process and all below it, shared pages counted once among them."""
    total, waiting = 0, [root]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        try:
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += next(int(x.split()[1]) for x in lines if x.startswith("Pss:")) * 1024
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, StopIteration):  # it has just ended
            continue
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--out", required=True, type=Path, help="working folder")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--shard", type=int, default=1000)
    options = parser.parse_args()
    root = str(options.out / "store")
    draw_crawl(options.out / "crawl", options.images, options.shard)
    (group,) = plan_groups(root, source=str(options.out / "crawl"), groups=1)
    samples = ingest_pairs(group, workers=2)
    model = import_model(root, source=options.model)
    command = [str(Path(sys.executable).with_name("openmofi")), "labeling", "embed"]
    process = subprocess.Popen([*command, "--samples", samples, "--model", model])
    tables = Path(root, "tables", "image_embeddings")
    started, seen = time.monotonic(), []
    while process.poll() is None:
        time.sleep(1)
        done = len(list(tables.glob("*.json"))) * options.shard
        seen.append((done, memory(process.pid)))
    seconds = time.monotonic() - started
    print(f"{options.images} images in {seconds:.0f} s with start-up; MiB by images done:")
    for tenth in range(10):
        low, high = (options.images * part // 10 for part in (tenth, tenth + 1))
        values = [size / 2**20 for done, size in seen if low <= done < high and size]
        if values:
            middle, most = np.median(values), max(values)
            print(f"{low:>8} to {high:>8}   median {middle:7.0f}   most {most:7.0f}")


if __name__ == "__main__":
    main()
