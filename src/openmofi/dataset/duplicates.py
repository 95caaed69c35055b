"""Near-duplicates over narrow keys: which pairs are near, and who goes with whom."""

import itertools
from collections.abc import Iterator

import duckdb
import numpy as np
import numpy.typing as npt

from openmofi.dataset.vector_search import Pairs

Numbers = npt.NDArray[np.int64]

_HASH_BITS = 64


def hash_pairs(database: duckdb.DuckDBPyConnection, left: str, right: str, bits: int) -> str:
    """SQL for pairs of perceptual hashes that differ in at most ``bits`` bits.

    Two hashes that differ in at most n bits agree on one of n + 1 bands, so only hashes that share
    a band are compared: exact, and far from all pairs.

    Args:
        database: Connection in which the tables stand.
        left: Name of a table with the column ``phash``.
        right: The same, for the other side.
        bits: How many of 64 bits may differ.

    Returns:
        Name of a new view with the columns ``a`` and ``b`` (hashes of left and right), distinct.
    """
    name = f"near_{left}_{right}"
    bands = " UNION ".join(
        f"""
        SELECT l.phash AS a, r.phash AS b FROM {left} l JOIN {right} r
        ON ((l.phash >> {start}) & {mask}::UBIGINT) = ((r.phash >> {start}) & {mask}::UBIGINT)
        WHERE bit_count(xor(l.phash, r.phash)) <= {bits}
        """
        for start, mask in _bands(bits + 1)
    )
    database.execute(f"CREATE TEMP VIEW {name} AS {bands}")
    return name


def _bands(count: int) -> Iterator[tuple[int, int]]:
    """First bit and mask of ``count`` bands that cover 64 bits."""
    edges = [_HASH_BITS * index // count for index in range(count + 1)]
    for start, end in itertools.pairwise(edges):
        yield start, (1 << (end - start)) - 1


def first_wins(pairs: Pairs) -> Pairs:
    """Who is dropped in favour of whom, when the earlier of two near samples wins.

    A sample goes if it is near one that stays. Chains are not followed: of a, b, c, with only
    neighbours near, b goes with a and c stays, since nothing says that c is like a. Labels go to
    the winner, so they must come from a real neighbour.

    Args:
        pairs: [pairs, 2] of sample numbers, in any order; the smaller number is the earlier one.

    Returns:
        [losers, 2]: loser and winner, sorted by loser.
    """
    names, places = np.unique(np.asarray(pairs, np.int64), return_inverse=True)
    early, late = np.sort(places.reshape(-1, 2), axis=1).T
    different = early != late
    early, late = early[different], late[different]
    gone = _gone(early, late, len(names))
    lost = gone[late] & ~gone[early]
    early, late = early[lost], late[lost]
    order = np.lexsort((early, late))
    losers, firsts = np.unique(late[order], return_index=True)
    return np.stack([names[losers], names[early[order][firsts]]], axis=1)


def _gone(early: Numbers, late: Numbers, number: int) -> npt.NDArray[np.bool_]:
    """Which of ``number`` samples are dropped: all of a round at once, as many rounds as it needs.

    Whoever has no earlier near sample left stays, and those near it go; that frees others.
    """
    gone = np.zeros(number, np.bool_)
    follows = np.zeros(number, np.bool_)
    while len(early):
        follows[late] = True
        gone[late[~follows[early]]] = True
        follows[late] = False
        open_still = ~(gone[early] | gone[late])
        early, late = early[open_still], late[open_still]
    return gone
