"""Randomness by name: numbers that depend on nothing but their key.

Order, augmentation and texts are functions of (seed, epoch, position) or (seed, epoch, uid). So a
run can start anywhere and with any number of workers, and no generator's state is ever saved.
"""

import hashlib

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

_ROUNDS = 6


def uniforms(count: int, *key: object) -> list[float]:
    """``count`` (at most 8) numbers in [0, 1), a function of ``key``."""
    digest = _hash(key, 8 * count)
    words = np.frombuffer(digest, "<u8")
    return [float(word) / 2.0**64 for word in words >> np.uint64(11) << np.uint64(11)]


def integer(*key: object) -> int:
    """A number in [0, 2**63), a function of ``key``: a seed for some generator."""
    return int.from_bytes(_hash(key, 8), "little") >> 1


def permute(indices: Indices, size: int, *key: object) -> Indices:
    """Where ``indices`` go in a permutation of ``range(size)`` that is a function of ``key``.

    A Feistel network over the next power of four, walked until it lands inside the range: the
    permutation of a billion needs no table.
    """
    half = max(1, ((max(size, 2) - 1).bit_length() + 1) // 2)
    keys = np.frombuffer(_hash(key, 8 * _ROUNDS), "<u8")
    result = np.asarray(indices, np.int64)
    if result.size and not 0 <= result.min() <= result.max() < size:
        raise IndexError(f"an index is outside 0 … {size - 1}")
    values = _feistel(result.astype(np.uint64), half, keys)
    while (outside := values >= np.uint64(size)).any():
        values[outside] = _feistel(values[outside], half, keys)
    return values.astype(np.int64)


def _feistel(
    values: npt.NDArray[np.uint64], half: int, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) & mask)
    return (left << shift) | right


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit moves every output."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash(key: tuple[object, ...], size: int) -> bytes:
    text = "\x1f".join(str(part) for part in key)
    return hashlib.blake2b(text.encode(), digest_size=size).digest()
