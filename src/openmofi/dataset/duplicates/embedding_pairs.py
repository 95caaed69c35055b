"""Near-duplicates by embedding: buckets of vectors around centroids, an exact search in each.

The vectors are read twice and never held: memory holds a sample, or a group of buckets. With k
buckets the work grows as n·k to find them and as n·n/k to search them, so as n to the power of 1.5,
where a search of all pairs grows as n·n. What is found is right; what may be missed is a pair whose
two vectors share none of their nearest centroids.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from openmofi.dataset.duplicates.first_wins import first_wins
from openmofi.dataset.duplicates.vector_buckets import BucketFiles
from openmofi.dataset.duplicates.vector_search import Pairs, near_among, near_between
from openmofi.progress import bar, say

Block = tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]  # numbers [rows], vectors [rows, dim]
Blocks = Callable[[], Iterable[Block]]

# A vector goes to this many buckets. Of pairs at cosine 0.95 to 0.96, 99.4 % share one of their
# four nearest centroids, and 94 % one of their two; above 0.98 all do, and 98 %
# (benchmarks/duplicates.py, which plants hard ones). Each more costs a copy on disk.
_PROBES = 4
_WHOLE = 32  # buckets: fewer than these would make are searched as one, exactly
_BUCKET_ROWS = 1024
_MEMORY_BYTES = 256 << 20
_SAMPLED = 40  # vectors a centroid is fitted on; faiss holds fewer than 39 to be too few
_ROUNDS = 10
_SEED = 0


def embedding_pairs(
    blocks: Blocks,
    count: int,
    cosine: float,
    *,
    bucket_rows: int = _BUCKET_ROWS,
    memory_bytes: int = _MEMORY_BYTES,
) -> Pairs:
    """Pairs of samples whose embeddings have at least the given cosine.

    Vectors are compared as they are stored, with 16 bits. Rounding to them moves a cosine by less
    than 1e-5 as a rule (by 4e-5 at most in 200,000 pairs of 128 to 1,024 numbers), so a pair that
    close to the bound may fall on either side of it.

    Args:
        blocks: Gives all vectors, shard by shard, whenever it is called: sample numbers, which
            only ever rise, and unit vectors.
        count: How many vectors to expect, or a little more.
        cosine: Least cosine of a pair, above 0.
        bucket_rows: Vectors around a centroid. Up to 32 times as many are searched as one.
        memory_bytes: Of vectors in memory at once, twice as many where a bucket is too large. On
            disk they take four times two bytes a number, in the folder for temporary files.

    Returns:
        [pairs, 2] of sample numbers, sorted and distinct, the smaller number first. Of the earlier
        ones that a sample is near, a bucket tells the first `vector_search.MOST`.
    """
    if count <= _WHOLE * bucket_rows:
        numbers, vectors = _all(blocks())
        return _distinct([numbers[near_among(vectors, cosine)]])
    buckets = min(count // bucket_rows, int(4 * count**0.5))  # where n·k meets 16·n·n/k
    say(f"assemble: {count} embeddings are compared in {buckets} buckets")
    centroids = _centroids(blocks, count, buckets, cosine)
    if not len(centroids):
        return _distinct([])
    with tempfile.TemporaryDirectory(prefix="openmofi-vectors-") as folder:
        files = BucketFiles(Path(folder), len(centroids), centroids.shape[1], memory_bytes)
        nearest = _nearest(centroids)
        for numbers, vectors in blocks():
            files.add(nearest(vectors), numbers, vectors)
        files.flush()
        return _distinct(list(_search(files, cosine)))


def _all(blocks: Iterable[Block]) -> Block:
    found = list(blocks)
    if not found:
        return np.empty(0, np.int64), np.empty((0, 1), np.float16)
    numbers, vectors = zip(*found, strict=True)
    return np.concatenate(numbers), np.concatenate(vectors)


def _centroids(blocks: Blocks, count: int, buckets: int, cosine: float) -> npt.NDArray[np.float32]:
    """[buckets, dim], none near another: spherical k-means of a sample that is always the same."""
    import faiss

    share = min(1.0, _SAMPLED * buckets / count)
    random = np.random.default_rng(_SEED)
    _, sample = _all(
        (numbers[chosen], vectors[chosen])
        for numbers, vectors in blocks()
        for chosen in [random.random(len(numbers)) < share]
    )
    if not len(sample):
        return np.empty((0, sample.shape[1]), np.float32)
    trainer = faiss.Kmeans(
        sample.shape[1],
        min(buckets, len(sample)),
        niter=_ROUNDS,
        spherical=True,
        seed=_SEED + 1,
        min_points_per_centroid=1,
        max_points_per_centroid=2 * _SAMPLED,
    )
    trainer.train(sample.astype(np.float32))
    centroids = cast("npt.NDArray[np.float32]", trainer.centroids)
    # A crowd of near-duplicates draws several centroids, which would tear it apart.
    return np.delete(centroids, first_wins(near_among(centroids, cosine))[:, 0], axis=0)


def _nearest(
    centroids: npt.NDArray[np.float32],
) -> Callable[[npt.NDArray[np.float16]], npt.NDArray[np.int64]]:
    """What gives the buckets of vectors, [rows, probes]."""
    import faiss

    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    probes = min(_PROBES, len(centroids))

    def nearest(vectors: npt.NDArray[np.float16]) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = index.search(vectors.astype(np.float32), probes)[1]
        return found

    return nearest


def _search(files: BucketFiles, cosine: float) -> Iterator[Pairs]:
    """Pairs within each bucket."""
    for group in bar(list(files.groups()), label="near-duplicates", unit="group"):
        yield from _search_group(files, group, cosine)


def _search_group(files: BucketFiles, group: tuple[int, int], cosine: float) -> Iterator[Pairs]:
    """Pairs within the buckets of a group; part by part against part where one is too large.

    Such a bucket is not split again: what makes it large is a crowd of vectors near each other,
    which further centroids would tear apart.
    """
    parts = files.parts(*group)
    for place, runs in enumerate(parts):
        one = files.read(*group, runs)
        for start, end in pairwise(one.starts):
            yield one.numbers[start:end][near_among(one.vectors[start:end], cosine)]
        for later in parts[place + 1 :]:
            other = files.read(*group, later)
            near = near_between(one.vectors, other.vectors, cosine)
            yield np.stack([one.numbers[near[:, 0]], other.numbers[near[:, 1]]], axis=1)


def _distinct(found: list[Pairs]) -> Pairs:
    """A pair that shares several buckets is found in each."""
    pairs = np.sort(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return pairs[np.diff(pairs, axis=0, prepend=-1).any(axis=1)]
