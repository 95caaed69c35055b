"""Which samples an evaluation set holds too: the same bytes, or a hash that differs in few bits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from openmofi.dataset.duplicates.bit_blocks import bit_blocks
from openmofi.evaluation_data.hash_list import HashList, picture_hash
from openmofi.evaluation_data.image_set import ImageSet
from openmofi.progress import bar
from openmofi.records import from_npy, to_npy
from openmofi.storage import Store

Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

_COMPARED = 1 << 22  # pairs at once


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What evaluation tests on.

    Args:
        image_ids: Of all images.
        hashes: Perceptual, of those that decode; distinct.
        bits: How many of 64 may differ; None compares image ids alone.
    """

    image_ids: tuple[str, ...] = ()
    hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    bits: int | None = None

    def flags(self, image_ids: pa.ChunkedArray, hashes: pa.ChunkedArray) -> Flags:
        """Which samples are held out, bool [samples]; both columns may have nulls."""
        listed = pa.array(self.image_ids, pa.string())
        found = np.array(compute.is_in(image_ids, value_set=listed))
        if self.bits is not None and len(self.hashes):
            known = np.asarray(hashes.is_valid())
            values = hashes.drop_null().to_numpy().astype(np.uint64)
            found[known] |= near_any(values, self.hashes, self.bits)
        return found


def evaluation_hashes(store: Store, sets: Iterable[ImageSet | HashList]) -> Hashes:
    """Perceptual hashes of all images of the evaluation sets that decode, sorted, distinct.

    Those of a set are kept in the store, so that the next assembly decodes none of its images.
    """
    found = [np.zeros(0, np.uint64)]
    for images in sets:
        if isinstance(images, HashList):
            found.append(np.array(images.hashes, np.uint64))
            continue
        key = f"evaluation_hashes/{images.digest}.npy"
        if not store.exists(key):
            store.put(key, to_npy(np.array(list(_hashes(images)), np.uint64)))
        found.append(from_npy(store.get(key)))
    return np.unique(np.concatenate(found))


def _hashes(images: ImageSet) -> Iterator[int]:
    for path in bar(images.paths, label="evaluation images", unit="image"):
        found = picture_hash(path)
        if found is not None:  # else its bytes are still compared, by image id
            yield found


def near_any(hashes: Hashes, others: Hashes, bits: int) -> Flags:
    """Which hashes differ from any of ``others`` in at most ``bits`` bits, bool [hashes].

    Two that do agree on one of ``bits`` + 1 blocks, so only hashes that share one are compared.
    """
    distinct, places = np.unique(hashes, return_inverse=True)
    near = np.zeros(len(distinct), np.bool_)
    for block in map(np.uint64, bit_blocks(bits + 1)):
        keys = others & block
        order = np.argsort(keys)
        keys, ordered = keys[order], others[order]
        left = np.flatnonzero(~near)
        wanted = distinct[left] & block
        first = np.searchsorted(keys, wanted, "left")
        counts = np.searchsorted(keys, wanted, "right") - first
        for part in _parts(counts):
            here = np.repeat(left[part], counts[part])
            ends = np.cumsum(counts[part])
            shift = np.repeat(first[part] - (ends - counts[part]), counts[part])
            there = ordered[np.arange(len(here)) + shift]
            near[here[np.bitwise_count(distinct[here] ^ there) <= bits]] = True
    return near[places]


def _parts(counts: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Runs of hashes with about as many pairs as may be compared at once."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    edges = [0, *np.searchsorted(ends, range(_COMPARED, total, _COMPARED)).tolist(), len(counts)]
    for start, end in pairwise(edges):
        if end > start:
            yield slice(start, end)
