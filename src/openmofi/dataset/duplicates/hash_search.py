"""Which perceptual hashes are near each other: exact, in joins whose number fits the pool's size.

Hashes that differ in at most n of 64 bits agree on at least k of n + k blocks of bits, since a bit
spoils one block only. So they meet where k chosen blocks agree, over all ways of choosing k. A
greater k takes more joins, each over more bits: with n = 4, k = 1 takes 5 joins over 12 bits, k = 2
takes 15 over 21, k = 3 takes 35 over 27. What a join compares in vain falls by 2 with every bit and
grows with the square of the pool, so larger pools take a greater k.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import duckdb

from openmofi.database import first_row
from openmofi.dataset.duplicates.bit_blocks import HASH_BITS, bit_blocks
from openmofi.progress import bar

_MOST_AGREEING = 4  # blocks: enough for 10^9 hashes at 4 bits


class _Join(NamedTuple):
    """One choice of blocks."""

    agree: int  # mask of the bits on which both hashes agree
    differ: tuple[int, ...]  # masks of blocks of which each differs; see `_joins`


def near_hashes(
    database: duckdb.DuckDBPyConnection,
    left: str,
    right: str,
    bits: int,
    *,
    agreeing: int | None = None,
) -> str:
    """Find all pairs of perceptual hashes that differ in at most ``bits`` bits.

    Equal hashes are one hash here, whatever their number: a crowd of them costs no more than one
    does. Different hashes that are all within 4 bits of each other are 2,081 at most.

    Args:
        database: Connection in which the tables stand.
        left: Name of a table or view with the column ``phash``.
        right: The same, for the other side; may be the same one.
        bits: How many of 64 bits may differ. From 8 on, large pools come near all pairs.
        agreeing: Blocks that must agree; None: what takes the least work.

    Returns:
        Name of a new temporary table with the columns ``a`` and ``b`` (hashes of left and right),
        distinct. Where both sides are one table, a hash is not paired with itself.
    """
    name, one, other = f"near_{left}_{right}", "near_left", "near_right"
    counts = [_distinct(database, left, one), _distinct(database, right, other)]
    if left == right:
        other = one
    chosen = agreeing or _least_work(counts[0], counts[1], bits)
    database.execute(f"CREATE OR REPLACE TEMP TABLE {name} (a UBIGINT, b UBIGINT)")
    order = "AND l.phash < r.phash" if left == right else ""
    for join in bar(list(_joins(bits, chosen)), label="hashes", unit="join"):
        mask = f"{join.agree}::UBIGINT"
        differ = "".join(
            f" AND (xor(l.phash, r.phash) & {block}::UBIGINT) <> 0" for block in join.differ
        )
        database.execute(
            f"INSERT INTO {name} SELECT l.phash, r.phash FROM {one} l JOIN {other} r "
            f"ON (l.phash & {mask}) = (r.phash & {mask}) "
            f"WHERE bit_count(xor(l.phash, r.phash)) <= {bits} {order} {differ}"
        )
    if left == right:
        database.execute(f"INSERT INTO {name} SELECT b, a FROM {name}")
    database.execute("DROP TABLE near_left; DROP TABLE near_right")
    return name


def _distinct(database: duckdb.DuckDBPyConnection, source: str, target: str) -> int:
    """Make ``target`` of the hashes of ``source``, each once; how many there are."""
    database.execute(
        f"CREATE OR REPLACE TEMP TABLE {target} AS SELECT DISTINCT phash FROM {source}"
    )
    [count] = first_row(database, f"SELECT count(*) FROM {target}") or (0,)
    return int(count)


def _joins(bits: int, agreeing: int) -> Iterator[_Join]:
    """All choices of ``agreeing`` of ``bits + agreeing`` blocks.

    Near hashes may agree on more blocks than were asked for. They are found once all the same,
    under their first blocks that agree: the others up to the last one chosen must differ.
    """
    blocks = bit_blocks(bits + agreeing)
    for chosen in itertools.combinations(range(len(blocks)), agreeing):
        others = (place for place in range(chosen[-1]) if place not in chosen)
        agree = sum(blocks[place] for place in chosen)
        yield _Join(agree, tuple(blocks[place] for place in others))


def _least_work(left: int, right: int, bits: int) -> int:
    """How many blocks should agree, by the rows joined and the pairs compared.

    For hashes whose bits are even and independent. Joining a row was seen to take as long as
    comparing two pairs; of two tables joined, each row counts once here.
    """

    def work(agreeing: int) -> float:
        joins = math.comb(bits + agreeing, agreeing)
        wide = HASH_BITS * agreeing / (bits + agreeing)
        return joins * (left + right + left * right / 2**wide)

    return min(range(1, _MOST_AGREEING + 1), key=work)
