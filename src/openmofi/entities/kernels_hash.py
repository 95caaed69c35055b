"""Compiled: UTF-8 to code points, and hashes of stretches of code points."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.unicode_tables import Codes

# An integer of 64 bits, signed or not, in Python or in numpy: to mypy they are four types.
Int = Any

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

ArrayT = TypeVar("ArrayT", bound=npt.NDArray[Any])

GARBLED = 0xFFFF  # a noncharacter: separates words

SEED = np.uint64(0xCBF29CE484222325)
PRIME = np.uint64(0x100000001B3)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)


@compiled
def decode(data: Bytes, place: Int, end: Int) -> tuple[Int, Int]:
    """The code point at ``place`` and where the next begins; garbled bytes are U+FFFF."""
    lead = np.int64(data[place])
    if lead < 0x80:
        return lead, place + 1
    extra = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
    if lead < 0xC0 or place + extra >= end:
        return GARBLED, place + 1
    code = lead & (0x3F >> extra)
    for i in range(1, extra + 1):
        byte = np.int64(data[place + i])
        if byte & 0xC0 != 0x80:
            return GARBLED, place + i
        code = code << 6 | byte & 0x3F
    return (code if code < 0x110000 else GARBLED), place + extra + 1


@compiled
def hash_stretches(codes: Codes, starts: Ints, ends: Ints) -> Hashes:
    """64-bit hashes of stretches of the buffer; what they find is compared, since they collide."""
    found = np.empty(len(starts), np.uint64)
    for i in range(len(starts)):
        found[i] = finish(extend(SEED, codes, starts[i], ends[i]))
    return found


@inlined
def extend(state: Int, codes: Codes, start: Int, end: Int) -> Int:
    """FNV-1a over code points."""
    for i in range(start, end):
        state = (state ^ np.uint64(codes[i])) * PRIME
    return state


@inlined
def finish(state: Int) -> Int:
    """Spread over all 64 bits (splitmix64's finish)."""
    state = (state ^ (state >> _SHIFT_1)) * _MIX_1
    state = (state ^ (state >> _SHIFT_2)) * _MIX_2
    return state ^ (state >> _SHIFT_3)


def fixed(array: ArrayT) -> ArrayT:
    """The array as one that cannot be written, as mapped ones are: compiled for those alone."""
    view = array.view()
    view.flags.writeable = False
    return view
