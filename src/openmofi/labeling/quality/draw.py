"""Which images an audit judges: a stratified draw with known chances.

Strata are bands of equal size of the image's best score, crossed with whether that label's entity
is frequent or rare in the pool. A cut may come to lie at any score, so every score must be seen;
and rare entities go wrong in other ways than frequent ones. Strata get the same number of images:
bands are of one size, so weights stay close to each other, and hardly any precision is lost to
them.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.errors import InputError
from openmofi.labeling.quality.judged import Bools, Floats, Ints
from openmofi.labeling.quality.labels import Labels
from openmofi.labeling.quality.samples import Image

_MOST_BANDS = 10
_FEWEST_PER_STRATUM = 10
FEWEST_IMAGES = 2 * _FEWEST_PER_STRATUM


class Drawn(NamedTuple):
    """An image to judge, with all its labels."""

    image: Image
    stratum: str
    weight: float  # images of the pool that it stands for
    labels: tuple[tuple[str, float], ...]  # entity and clip_score, by entity


def draw_images(labels: Labels, images: int, seed: int) -> list[Drawn]:
    """Images in random order, so that whoever stops half-way has judged a random half.

    Args:
        labels: The pool.
        images: How many; all of a smaller pool.
        seed: Of the draw.

    Raises:
        InputError: Fewer are wanted than strata need, or an image has an entity twice.
    """
    if images < FEWEST_IMAGES:
        raise InputError(f"--images must be {FEWEST_IMAGES} or more, got {images}")
    table = labels.table.sort_by(
        [(name, "ascending") for name in ("shard", "key")]
        + [("clip_score", "descending"), ("entity_id", "ascending")]
    )
    starts = _starts(*(_codes(table.column(name)) for name in ("shard", "key")))
    ends = np.append(starts[1:], table.num_rows)
    scores = table.column("clip_score").to_numpy().astype(np.float64)
    entities = _codes(table.column("entity_id"))
    counts = np.bincount(entities)[entities[starts]]
    bands = _bands(scores[starts], min(max(images // FEWEST_IMAGES, 1), _MOST_BANDS))
    frequent = counts > np.median(counts)
    drawn = []
    for place, weight in _draw(2 * bands + frequent, images, np.random.default_rng(seed)):
        rows = table.slice(int(starts[place]), int(ends[place] - starts[place])).to_pylist()
        stratum = _stratum(int(bands[place]), int(bands.max()) + 1, bool(frequent[place]))
        drawn.append(_drawn(rows, stratum, weight, labels.source))
    return drawn


def _drawn(rows: list[dict[str, Any]], stratum: str, weight: float, source: str) -> Drawn:
    image = (rows[0]["shard"], rows[0]["key"])
    scores = {row["entity_id"]: row["clip_score"] for row in rows}
    if len(scores) < len(rows):
        raise InputError(f"{source}: sample '{'/'.join(image)}' has an entity twice")
    return Drawn(image, stratum, weight, tuple(sorted(scores.items())))


def _codes(column: pa.ChunkedArray) -> Ints:
    """A number for each value, equal for equal ones, in no order."""
    numbers: Ints = column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers


def _starts(shards: Ints, keys: Ints) -> Ints:
    """Rows at which an image begins, of rows that are sorted by image."""
    new: Bools = (np.diff(shards, prepend=-1) != 0) | (np.diff(keys, prepend=-1) != 0)
    return np.flatnonzero(new)


def _bands(scores: Floats, bands: int) -> Ints:
    """``[images]`` number of the band of equal size, the lowest scores first."""
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    return ranks * bands // len(scores)


def _stratum(band: int, bands: int, frequent: bool) -> str:
    return f"score {band + 1:02d} of {bands:02d}, {'frequent' if frequent else 'rare'} entity"


def _draw(strata: Ints, images: int, rng: np.random.Generator) -> list[tuple[int, float]]:
    """Places and weights of the images drawn, in random order."""
    kinds, sizes = np.unique(strata, return_counts=True)
    drawn = []
    for kind, size, given in zip(kinds, sizes, allocate(sizes, images), strict=True):
        if given:
            places = rng.choice(np.flatnonzero(strata == kind), int(given), replace=False)
            drawn += [(place, float(size / given)) for place in sorted(places.tolist())]
    return [drawn[number] for number in rng.permutation(len(drawn))]


def allocate(sizes: npt.NDArray[np.integer], images: int) -> Ints:
    """``[strata]`` images to draw from strata of ``sizes``: equal shares, what is over to the rest.

    A stratum smaller than its share gives all it has; the last few go to those with most left.
    """
    given = np.zeros(len(sizes), np.int64)
    while left := min(images, int(sizes.sum())) - int(given.sum()):
        remaining = sizes - given
        share = left // int(np.count_nonzero(remaining))
        if share:
            given += np.minimum(remaining, share)
        else:
            given[np.argsort(-remaining, kind="stable")[:left]] += 1
    return given
