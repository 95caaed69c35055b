"""Candidates a second: from embeddings and mentions to scores, beside numpy's cosines alone.

Run: OMP_NUM_THREADS=1 python -m benchmarks.scoring [--entities 100000] [--images 200000]
     [--rounds 7]

Generated: unit vectors of 512 numbers, each image with two mentions of three and two candidates,
entities used by a law like Zipf's. Four ways, one after the other in each round, in one thread:

* matmul: ``np.matmul`` over blocks of images that fit the cache, texts float32 in memory already;
* einsum: the used texts converted, then both sides gathered and ``np.einsum``, in blocks;
* ours: `openmofi.labeling.candidates.score_candidates`: cosines, settling, ranks, the table;
* cosines: `openmofi.labeling.candidates.pair_cosines` alone, on float16 texts.

Cosines are compared first. Ratios are of medians, with 95 % intervals over rounds (bootstrap). The
floor is what memory allows: each image once and a text for each candidate, at 10 GB/s, if no
text stays in a cache.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from openmofi.labeling.candidates import pair_cosines, score_candidates
from openmofi.labeling.texts import EntityTexts

DIM, EACH = 512, 5
BLOCK = 64  # images; with their texts 0.8 MB, which L2 holds
CHUNK = 65_536  # candidates gathered at once by einsum
BANDWIDTH = 10e9


class Race:
    """The data, and the four ways."""

    def __init__(self, entities: int, images: int) -> None:
        self.draw = np.random.default_rng(0)
        self.images = self._unit(images)
        self.singles = self._unit(entities)
        self.halves = self.singles.astype(np.float16)
        self.singles = self.halves.astype(np.float32)  # the same numbers for all
        self.texts = EntityTexts(pa.array([f"Q{i:09d}" for i in range(entities)]), self.halves)
        size = images * EACH
        # The density of ranks falls as 1 / rank; which entity has which rank is by chance.
        ranks = np.exp(self.draw.random(size) * np.log(entities + 1)).astype(np.int64) - 1
        self.entities = self.draw.permutation(entities)[ranks.clip(max=entities - 1)]
        self.rows = np.repeat(np.arange(images), EACH)
        self.mentions = pa.table(
            {
                "row": pa.array(self.rows, pa.int32()),
                "mention": pa.array(np.tile([0, 0, 0, 1, 1], images), pa.int32()),
                "entity_id": self.texts.ids.take(pa.array(self.entities)),
                "context_score": pa.array(self.draw.random(size, np.float32)),
                "rank": pa.array(np.tile([0, 1, 2, 0, 1], images), pa.int32()),
            }
        )

    def _unit(self, count: int) -> np.ndarray:
        vectors = self.draw.standard_normal((count, DIM), np.float32)
        for start in range(0, count, CHUNK):
            block = vectors[start : start + CHUNK]
            block /= np.linalg.norm(block, axis=1, keepdims=True)
        return vectors

    def matmul(self) -> np.ndarray:
        found = np.empty((len(self.images), EACH), np.float32)
        grouped = self.entities.reshape(-1, EACH)
        for start in range(0, len(self.images), BLOCK):
            part = slice(start, start + BLOCK)
            texts = self.singles[grouped[part]]
            found[part] = np.matmul(texts, self.images[part, :, None])[:, :, 0]
        return found.ravel()

    def einsum(self) -> np.ndarray:
        used, local = np.unique(self.entities, return_inverse=True)
        texts = self.halves[used].astype(np.float32)
        found = np.empty(len(self.rows), np.float32)
        for start in range(0, len(self.rows), CHUNK):
            part = slice(start, start + CHUNK)
            found[part] = np.einsum("pd,pd->p", self.images[self.rows[part]], texts[local[part]])
        return found

    def ours(self) -> pa.Table:
        position = np.arange(len(self.images))
        return score_candidates(
            self.mentions, self.images, position, self.texts, image_weight=100.0
        )[0]

    def cosines(self) -> np.ndarray:
        return pair_cosines(self.images, self.rows, self.halves, self.entities)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    race = Race(options.entities, options.images)
    check(race)
    ways: dict[str, Callable[[], object]] = {
        name: getattr(race, name) for name in ("matmul", "einsum", "ours", "cosines")
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begin)
    report(race, options, {name: np.array(found) for name, found in seconds.items()})


def check(race: Race) -> None:
    """Leave unless all have the same cosines; this is their warm-up too."""
    expected = race.matmul()
    for name in ("einsum", "cosines"):
        np.testing.assert_allclose(getattr(race, name)(), expected, atol=1e-6, err_msg=name)
    table = race.ours()
    found = dict(
        zip(zip(*(table[n].to_pylist() for n in ("row", "entity_id")), strict=True),
            table["clip_score"].to_pylist(), strict=True)
    )  # fmt: skip
    ids = race.mentions["entity_id"].to_pylist()
    for place in race.draw.integers(0, len(ids), 10_000).tolist():
        difference = found[int(race.rows[place]), ids[place]] - expected[place]
        assert abs(difference) < 1e-6, ids[place]


def report(race: Race, options: argparse.Namespace, seconds: dict[str, np.ndarray]) -> None:
    count = len(race.rows)
    floor = (race.images.nbytes + count * DIM * race.halves.itemsize) / BANDWIDTH
    used = len(np.unique(race.entities))
    print(f"{count:,} candidates, {options.images:,} images, {options.entities:,} entities")
    print(f"{used:,} entities used, {options.rounds} rounds; floor {floor:.3f} s")
    print(f"{'way':10}{'min s':>9}{'median s':>10}{'M/s':>7}   matmul takes, times")
    for name, found in seconds.items():
        low, ratio, high = interval(seconds["matmul"], found)
        print(
            f"{name:10}{found.min():9.3f}{np.median(found):10.3f}"
            f"{count / np.median(found) / 1e6:7.2f}   {ratio:.2f} [{low:.2f}, {high:.2f}]"
        )


def interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Ratio of medians, between its 2.5 % and 97.5 % points over resampled rounds."""
    places = np.random.default_rng(1).integers(0, len(one), (2000, len(one)))
    ratios = np.median(one[places], axis=1) / np.median(other[places], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(np.median(one) / np.median(other)), float(high)


if __name__ == "__main__":
    main()
