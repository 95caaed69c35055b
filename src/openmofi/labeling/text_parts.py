"""Vectors of texts in a store: each text once per model, whatever run had it encoded.

A part, ``entity_texts/<model digest>/<hash of its keys>.part``, holds up to `PART_TEXTS` texts: a
head (`_HEAD`), their keys, sorted, and their vectors. A key is a hash of the text itself. Parts
are named by their keys and never changed: two runs at once write parts of their own, and a text
that stands in two is read from the first by name.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.errors import StorageError
from openmofi.keys import hash_bytes
from openmofi.storage import ObjectInfo, Store

Keys = npt.NDArray[np.bytes_]  # 16 bytes each
Halves = npt.NDArray[np.float16]
Ints = npt.NDArray[np.int64]

PART_TEXTS = 2048  # a killed run loses at most this many encodings

_HEAD = struct.Struct("<8sQQ40x")  # mark, texts, numbers of a vector; 64 bytes, so all is aligned
_MARK = b"MOFITXT1"
_KEY_BYTES = 16
_KEY = np.dtype(f"S{_KEY_BYTES}")
_READERS = 8  # parts read at once, for stores at the end of a network


def text_keys(texts: Iterable[str]) -> Keys:
    """The key of each text: its 128-bit BLAKE2b. numpy orders them by bytes."""
    digests = (hashlib.blake2b(t.encode(), digest_size=_KEY_BYTES).digest() for t in texts)
    return np.frombuffer(b"".join(digests), _KEY)


class Match(NamedTuple):
    """What one part has of some keys."""

    part: str  # object's key in the store
    rows: Ints  # of the part
    wanted: Ints  # of the keys asked for


def match_parts(store: Store, digest: str, wanted: Keys) -> Iterator[Match]:
    """Where the vectors of texts lie, part by part in the order of their names; a key only once.

    Reads keys, no vectors: by ranged gets of some 33 kB.

    Args:
        store: Where the parts lie.
        digest: Of the model.
        wanted: Sorted and distinct.

    Raises:
        StorageError: A part is damaged.
    """
    found = np.zeros(len(wanted), np.bool_)
    infos = list(store.list(f"{_folder(digest)}/")) if len(wanted) else []
    with ThreadPoolExecutor(_READERS) as pool:
        for info, keys in zip(infos, pool.map(lambda i: _read_keys(store, i), infos), strict=True):
            places = np.searchsorted(wanted, keys).clip(max=len(wanted) - 1)
            rows = np.flatnonzero((wanted[places] == keys) & ~found[places])
            if len(rows):
                found[places[rows]] = True
                yield Match(info.key, rows, places[rows])


def write_part(store: Store, digest: str, keys: Keys, vectors: Halves) -> None:
    """Store vectors ``[len(keys), dim]`` of at most `PART_TEXTS` keys, sorted and distinct."""
    head = _HEAD.pack(_MARK, *vectors.shape)
    data = b"".join([head, keys.tobytes(), np.ascontiguousarray(vectors).tobytes()])
    store.put(f"{_folder(digest)}/{hash_bytes(keys.tobytes())}.part", data)


def part_width(store: Store, part: str) -> int:
    """How many numbers a part's vectors have."""
    return int(_HEAD.unpack(store.get_range(part, 0, _HEAD.size))[2])


def copy_vectors(
    store: Store, matches: Iterable[Match], starts: Ints, out: Halves, order: Ints
) -> None:
    """Copy the vectors of matched keys to rows of ``out``.

    Args:
        store: Where the parts lie. A folder's are mapped; others are brought here one by one.
        matches: Of `match_parts`.
        starts: ``[keys + 1]`` where each key's rows begin in ``order``.
        out: ``[rows, dim]``, may be memory mapped.
        order: ``[rows]`` of ``out``.

    Raises:
        StorageError: A part is damaged, or its vectors have another width.
    """

    def copy(match: Match) -> None:
        counts = starts[match.wanted + 1] - starts[match.wanted]
        ends = np.cumsum(counts)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        rows = order[np.repeat(starts[match.wanted], counts) + within]
        with store.local_file(match.part) as path:
            out[rows] = _map_vectors(store, match.part, path, out.shape[1])[
                np.repeat(match.rows, counts)
            ]

    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(copy, matches):
            pass


def _folder(digest: str) -> str:
    return f"entity_texts/{digest}"


def _read_keys(store: Store, info: ObjectInfo) -> Keys:
    most = _HEAD.size + _KEY_BYTES * PART_TEXTS
    data = store.get_range(info.key, 0, min(info.size, most))
    if len(data) >= _HEAD.size:
        mark, texts, dim = _HEAD.unpack_from(data)
        keys = data[_HEAD.size : _HEAD.size + _KEY_BYTES * texts]
        whole = info.size == _HEAD.size + texts * (_KEY_BYTES + 2 * dim)
        if mark == _MARK and whole and Path(info.key).stem == hash_bytes(keys):
            return np.frombuffer(keys, _KEY)
    raise StorageError(
        f"{store.uri}/{info.key} is damaged; delete it, and its texts are encoded again"
    )


def _map_vectors(store: Store, part: str, path: Path, dim: int) -> Halves:
    with path.open("rb") as file:
        _, texts, width = _HEAD.unpack(file.read(_HEAD.size))
    if width != dim:
        raise StorageError(
            f"{store.uri}/{part} has vectors of {width} numbers, other parts of the same model "
            f"have {dim}; delete the wrong ones, and their texts are encoded again"
        )
    return np.memmap(path, np.float16, "r", _HEAD.size + _KEY_BYTES * texts, (texts, dim))
