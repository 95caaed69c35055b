"""Near-duplicates by embedding: buckets against one flat faiss index over everything.

Run: python -m benchmarks.duplicates [--rows 100000] [--dim 256] [--cosine 0.95] [--rounds 1]
Vectors are generated: clusters in 48 dimensions of ``dim``. Every tenth is a copy of one before it,
at a cosine drawn evenly between the bound and 1, off in a direction of those 48, which is the
hardest one for centroids. Shards of 10,000 lie in files. Each arm is a
fresh process, the arms take turns; memory is the process's greatest resident size, the imports
included, which an idle arm shows alone. Recall is the share of the flat search's pairs that buckets
find. Pairs that only buckets name lie where the flat search is off, which takes rounded vectors for
unit ones.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

_SHARD = 10_000
_LATENT = 48
_CENTRES = 2000
_ARMS = ("idle", "flat", "buckets")


def write_vectors(folder: Path, rows: int, dim: int, cosine: float) -> None:
    """Shards of float16 unit vectors."""
    random = np.random.default_rng(0)
    basis = random.normal(size=(_LATENT, dim)) / np.sqrt(1 + np.arange(_LATENT))[:, None]
    centres = random.normal(size=(_CENTRES, _LATENT))
    mean = 1.5 * random.normal(size=dim)  # encoders' vectors lie in a cone
    latent = centres[random.integers(0, _CENTRES, rows)] + 0.7 * random.normal(size=(rows, _LATENT))
    vectors = _unit(latent @ basis + mean + 0.1 * random.normal(size=(rows, dim)))
    copies = np.arange(rows // 10, rows, 10)
    originals = random.integers(0, copies)
    aside = random.normal(size=(len(copies), _LATENT)) @ basis
    kept = vectors[originals]
    aside = _unit(aside - (aside * kept).sum(axis=1, keepdims=True) * kept)
    near = random.uniform(cosine, 1, len(copies))[:, None]
    vectors[copies] = near * kept + np.sqrt(1 - near**2) * aside
    for start in range(0, rows, _SHARD):
        part = vectors[start : start + _SHARD].astype(np.float16)
        np.save(folder / f"{start // _SHARD:05d}.npy", part)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def shards(folder: Path) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]:
    start = 0
    for path in sorted(folder.glob("?????.npy")):
        vectors = np.load(path)
        yield np.arange(start, start + len(vectors)), vectors
        start += len(vectors)


def flat(folder: Path, cosine: float) -> npt.NDArray[np.int64]:
    """What assembly did before: one index, all against all."""
    import faiss

    vectors = np.concatenate([part for _, part in shards(folder)]).astype(np.float32)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    radius = float(np.nextafter(np.float32(cosine), np.float32(-1)))
    found = []
    for start in range(0, len(vectors), 1024):
        limits, _, near = index.range_search(vectors[start : start + 1024], radius)
        rows = np.repeat(np.arange(len(limits) - 1) + start, np.diff(limits).astype(np.int64))
        found.append(np.stack([rows, near], axis=1)[near > rows])
    return np.concatenate(found)


def buckets(folder: Path, rows: int, cosine: float) -> npt.NDArray[np.int64]:
    from openmofi.dataset.duplicates.embedding_pairs import embedding_pairs

    return embedding_pairs(lambda: shards(folder), rows, cosine)


def work(arm: str, folder: Path, rows: int, cosine: float) -> None:
    """One arm, in this process: pairs to a file, seconds and memory to stdout."""
    import faiss  # noqa: F401

    import openmofi.dataset.duplicates.embedding_pairs  # noqa: F401

    start, processor = time.perf_counter(), time.process_time()
    pairs = np.empty((0, 2), np.int64)
    if arm != "idle":
        pairs = flat(folder, cosine) if arm == "flat" else buckets(folder, rows, cosine)
    np.save(folder / f"pairs-{arm}.npy", pairs)
    result = {
        "arm": arm,
        "seconds": round(time.perf_counter() - start, 1),
        "CPU seconds": round(time.process_time() - processor, 1),
        "peak MB": _peak_megabytes(),
        "pairs": len(pairs),
    }
    print(json.dumps(result))


def _peak_megabytes() -> int:
    """Not getrusage's, which a process begins with its parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
    return round(int(peak) / 1000)


def compare(folder: Path, cosine: float) -> Iterator[dict[str, object]]:
    """Recall of the buckets by band of cosine."""
    vectors = np.concatenate([part for _, part in shards(folder)])
    wanted, found = (np.load(folder / f"pairs-{arm}.npy") for arm in ("flat", "buckets"))
    known = {tuple(pair) for pair in found.tolist()}
    hit = np.array([tuple(pair) in known for pair in wanted.tolist()])
    one, other = (vectors[wanted[:, side]].astype(np.float32) for side in (0, 1))
    cosines = np.einsum("pd,pd->p", one, other)
    for low, high in ((cosine, 2), (cosine, 0.96), (0.96, 0.98), (0.98, 2)):
        band = (cosines >= low - 1e-6) & (cosines < high)
        if band.any():
            share = round(float(hit[band].mean()), 4)
            yield {"cosine from": low, "below": high, "pairs": int(band.sum()), "recall": share}
    asked = {tuple(pair) for pair in wanted.tolist()}
    own = np.array(sorted(known - asked), np.int64).reshape(-1, 2)
    one, other = (_unit(vectors[own[:, side]].astype(np.float64)) for side in (0, 1))
    below = (one * other).sum(axis=1) < cosine
    yield {"only in buckets": len(own), "of them below the bound": int(below.sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--cosine", type=float, default=0.95)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--worker", nargs=2, metavar=("ARM", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        arm, folder = arguments.worker
        work(arm, Path(folder), arguments.rows, arguments.cosine)
        return
    with tempfile.TemporaryDirectory(prefix="openmofi-benchmark-") as name:
        write_vectors(Path(name), arguments.rows, arguments.dim, arguments.cosine)
        given = ["--rows", str(arguments.rows), "--cosine", str(arguments.cosine)]
        for _ in range(arguments.rounds):
            for arm in _ARMS:
                command = [sys.executable, "-m", "benchmarks.duplicates", "--worker", arm, name]
                subprocess.run([*command, *given], check=True)
        for row in compare(Path(name), arguments.cosine):
            print(json.dumps(row))


if __name__ == "__main__":
    main()
