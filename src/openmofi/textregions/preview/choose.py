"""Which pictures a preview shows: the closest calls, and some of all others by chance."""

from typing import NamedTuple

import numpy as np

from openmofi.errors import InputError
from openmofi.labeling.quality.draw import allocate
from openmofi.records import Status
from openmofi.textregions.preview.scan import Bools, Scan
from openmofi.textregions.preview.source import Floats, Ints

MOST_IMAGES = 600  # more would leave each a thumbnail in which no word can be read
_FEWEST_IMAGES = 10
_FAILED_SHARE = 20  # one in so many

# The statuses of pictures that an earlier step refused: no business of the detector.
_REFUSED_BEFORE = (Status.OK, Status.SKIPPED)


class Group(NamedTuple):
    """Pictures shown under one heading."""

    side: str  # "dropped", "kept" or "failed"
    kind: str  # "closest", "large", "others" or "failed"
    rows: Ints  # those shown, in the order shown
    of: int  # how many there are


def check_images(images: int) -> None:
    """Refuse a number of pictures that no page can show."""
    if not _FEWEST_IMAGES <= images <= MOST_IMAGES:
        raise InputError(f"--images must be {_FEWEST_IMAGES} to {MOST_IMAGES}, got {images}")


def closeness(scan: Scan) -> Floats:
    """float32[rows] how far from the cut the call was; infinite without a box to compare."""
    far = np.abs(scan.fitting - scan.cut)
    return np.where(scan.fitting < 0, np.float32(np.inf), far)


def choose(scan: Scan, images: int, seed: int) -> list[Group]:
    """The groups of a page, both sides and what failed.

    Half of a side are its closest calls. Of the other half a third are pictures with a sure box
    above the upper limit, and the rest is drawn from what is left, so that gross errors are seen.

    Args:
        scan: All pictures.
        images: How many to show; all of a smaller source.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    failed = np.flatnonzero(~scan.having(*_REFUSED_BEFORE))
    some = _draw(failed, min(len(failed), max(images // _FAILED_SHARE, 1)), rng)
    sizes = np.array([np.count_nonzero(scan.dropped), np.count_nonzero(scan.kept)])
    given = allocate(sizes, images - len(some)).tolist()
    groups = []
    for side, count in zip(("dropped", "kept"), given, strict=True):
        groups += _side(scan, side, count, rng)
    return [*groups, Group("failed", "failed", some, len(failed))]


def _side(scan: Scan, side: str, count: int, rng: np.random.Generator) -> list[Group]:
    members = np.flatnonzero(scan.dropped if side == "dropped" else scan.kept)
    far = closeness(scan)[members]
    ordered = members[np.argsort(far, kind="stable")]
    # A picture without a box to compare is no close call, however few others there are.
    comparable = int(np.count_nonzero(np.isfinite(far)))
    near = min((count + 1) // 2, comparable)
    closest, rest = ordered[:near], ordered[near:]
    is_large: Bools = scan.with_large[rest]
    large, others = rest[is_large], rest[~is_large]
    for_large = min(len(large), (count - near + 2) // 3)
    for_others = min(len(others), count - near - for_large)
    for_large = min(len(large), count - near - for_others)
    return [
        Group(side, "closest", closest, len(members)),
        Group(side, "large", _draw(large, for_large, rng), len(large)),
        Group(side, "others", _draw(others, for_others, rng), len(others)),
    ]


def _draw(rows: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Some of ``rows``, in their order."""
    return rows[np.sort(rng.choice(len(rows), count, replace=False))]
