"""64-bit hashes of every stretch of tokens, by differences of one running sum.

The sum over code points c_i of value(c_i) · base^i (mod 2^64) is kept for the whole buffer. The
hash of a stretch is a difference of two sums, shifted to position 0 by the inverse power. So an
ending can be cut off or put on without touching the text again: that is how plurals are looked up.
The hash finds; what is found is compared with the stored string, since hashes can collide.
"""

import functools

import numpy as np
import numpy.typing as npt

from openmofi.entities.text import Codes, Ints

Hashes = npt.NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)


class RunningHash:
    """Hashes of stretches of one buffer of code points."""

    def __init__(self, codes: Codes) -> None:
        self._powers, self._inverses = _powers(len(codes) + 1)
        terms = _values(codes) * self._powers[: len(codes)]
        self._sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)))

    def stretch(self, starts: Ints, ends: Ints) -> Hashes:
        """Raw hashes of the stretches ``[starts, ends)``; `mix` makes look-up keys of them."""
        shifted: Hashes = (self._sums[ends] - self._sums[starts]) * self._inverses[starts]
        return shifted

    def append(self, raw: Hashes, lengths: Ints, suffix: Hashes) -> Hashes:
        """Raw hashes of stretches of ``lengths`` characters followed by suffixes."""
        longer: Hashes = raw + suffix * self._powers[lengths]
        return longer


def raw_hash(text: str) -> np.uint64:
    """Raw hash of a whole string."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    powers, _ = _powers(len(codes))
    total: np.uint64 = np.sum(_values(codes) * powers[: len(codes)], dtype=np.uint64)
    return total


def mix(raw: Hashes) -> Hashes:
    """Spread raw hashes over all 64 bits (splitmix64's finish)."""
    mixed = raw ^ (raw >> np.uint64(30))
    mixed = mixed * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    finished: Hashes = mixed ^ (mixed >> np.uint64(31))
    return finished


def _values(codes: Codes) -> Hashes:
    """A fixed pseudo-random number for each code point."""
    return mix((codes.astype(np.uint64) + np.uint64(1)) * np.uint64(0xD1342543DE82EF95))


@functools.lru_cache(maxsize=4)
def _powers_of_size(size: int) -> tuple[Hashes, Hashes]:
    def series(factor: int) -> Hashes:
        factors = np.full(size, factor, dtype=np.uint64)
        factors[:1] = 1
        return np.cumprod(factors, dtype=np.uint64)

    return series(_BASE), series(_INVERSE)


def _powers(length: int) -> tuple[Hashes, Hashes]:
    """Powers of the base and of its inverse, at least ``length`` of each, cached by doubling."""
    return _powers_of_size(max(1 << 16, 1 << max(0, length - 1).bit_length()))
