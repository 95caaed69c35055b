"""Blocks of bits of a perceptual hash: hashes that differ in few bits agree on some of them."""

from itertools import pairwise

HASH_BITS = 64


def bit_blocks(count: int) -> list[int]:
    """Masks of ``count`` blocks that cover all bits, as equal as can be.

    Hashes that differ in n bits agree on all but n of them at least.
    """
    edges = [HASH_BITS * index // count for index in range(count + 1)]
    return [((1 << (end - start)) - 1) << start for start, end in pairwise(edges)]
