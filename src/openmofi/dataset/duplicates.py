"""Near-duplicates over narrow keys: which pairs are near, and who goes with whom."""

import itertools
from collections.abc import Iterator

import duckdb
import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError

Pairs = npt.NDArray[np.int64]  # [pairs, 2]

_HASH_BITS = 64
_QUERY_BLOCK = 1024


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


def first_wins(pairs: Pairs) -> dict[int, int]:
    """Who is dropped in favour of whom, when the earlier of two near samples wins.

    A sample goes if it is near one that stays. Chains are not followed: of a, b, c, with only
    neighbours near, b goes with a and c stays, since nothing says that c is like a. Labels go to
    the winner, so they must come from a real neighbour.

    Args:
        pairs: [pairs, 2] of sample numbers, in any order; the smaller number is the earlier one.

    Returns:
        Winner by loser.
    """
    ordered = np.sort(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
    ordered = ordered[np.lexsort((ordered[:, 0], ordered[:, 1]))]
    winner: dict[int, int] = {}
    for early, late in ordered.tolist():
        if early != late and early not in winner and late not in winner:
            winner[late] = early
    return winner


def embedding_pairs(
    numbers: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32], cosine: float
) -> Pairs:
    """Pairs of samples whose embeddings have at least the given cosine.

    Exact search over all vectors: quadratic, for millions of samples at most.

    Args:
        numbers: [samples], sample numbers.
        vectors: [samples, dim], unit vectors.
        cosine: Least cosine of a pair.

    Returns:
        [pairs, 2] of sample numbers.
    """
    try:
        import faiss
    except ImportError:
        raise InputError(
            "duplicates.embedding_cosine needs faiss; install openmofi with the extra 'curate'"
        ) from None
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(vectors), _QUERY_BLOCK):
        # faiss returns what is strictly above the radius.
        radius = float(np.nextafter(np.float32(cosine), np.float32(-1)))
        limits, _, near = index.range_search(vectors[start : start + _QUERY_BLOCK], radius)
        queries = np.repeat(np.arange(len(limits) - 1) + start, np.diff(limits).astype(np.int64))
        found.append(np.stack([numbers[queries], numbers[near]], axis=1)[near > queries])
    return np.concatenate(found)
