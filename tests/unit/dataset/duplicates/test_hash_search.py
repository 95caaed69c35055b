"""Near hashes against a comparison of all pairs, for every number of blocks."""

import time
from collections.abc import Iterator

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from openmofi.dataset.duplicates.hash_search import _least_work, near_hashes

Hashes = npt.NDArray[np.uint64]
ALL_BITS = 2**64 - 1


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def fill(database: duckdb.DuckDBPyConnection, name: str, hashes: list[int | None] | Hashes) -> None:
    database.register("filling", pa.table({"phash": pa.array(hashes, pa.uint64())}))
    database.execute(f"CREATE TABLE {name} AS FROM filling")


def found(database: duckdb.DuckDBPyConnection, table: str) -> list[tuple[int, int]]:
    return database.execute(f"SELECT a, b FROM {table}").fetchall()


def by_all_pairs(left: Hashes, right: Hashes, bits: int) -> set[tuple[int, int]]:
    pairs = set()
    for one in left:
        near = right[np.bitwise_count(right ^ one) <= bits]
        pairs |= {(int(one), int(other)) for other in near}
    return pairs


def planted(rng: np.random.Generator, number: int, bits: int) -> Hashes:
    """Random hashes; the second half are copies of the first with 0 to ``bits + 1`` bits off."""
    hashes = rng.integers(0, 2**64, number, dtype=np.uint64)
    for place in range(number // 2, number):
        flips = rng.choice(64, place % (bits + 2), replace=False)
        mask = sum(1 << int(bit) for bit in flips)
        hashes[place] = hashes[place - number // 2] ^ np.uint64(mask)
    return hashes


@pytest.mark.parametrize("agreeing", [1, 2, 3, None])
@pytest.mark.parametrize("bits", [0, 1, 4, 7])
def test_exactly_the_near_pairs_are_found_each_once(
    database: duckdb.DuckDBPyConnection, bits: int, agreeing: int | None
) -> None:
    rng = np.random.default_rng(bits)
    hashes = np.concatenate(
        [planted(rng, 3000, bits), np.array([0, 1, 3, ALL_BITS, 1 << 63], np.uint64)]
    )
    fill(database, "pool", rng.permutation(hashes))
    wanted = {(a, b) for a, b in by_all_pairs(hashes, hashes, bits) if a != b}
    pairs = found(database, near_hashes(database, "pool", "pool", bits, agreeing=agreeing))
    assert set(pairs) == wanted
    assert len(pairs) == len(wanted)
    assert len(wanted) >= 2 * 1499 * bits // (bits + 2)


@pytest.mark.parametrize("agreeing", [1, 2, 3])
def test_two_tables_are_paired_equal_hashes_too(
    database: duckdb.DuckDBPyConnection, agreeing: int
) -> None:
    hashes = planted(np.random.default_rng(9), 600, 4)
    left, right = hashes[:300], hashes[300:]
    fill(database, "pool", left)
    fill(database, "held_out", right)
    pairs = found(database, near_hashes(database, "pool", "held_out", 4, agreeing=agreeing))
    assert len(pairs) == len(set(pairs)) == 250  # 50 each with 0 to 4 bits off
    assert set(pairs) == by_all_pairs(left, right, 4)


@pytest.mark.parametrize("agreeing", [1, 2, 3])
def test_every_place_of_the_bits_that_differ_is_found(
    database: duckdb.DuckDBPyConnection, agreeing: int
) -> None:
    # Also where all differing bits fall into one block, or each into another.
    masks = [1 << bit for bit in range(64)]
    masks += [0b1111 << bit for bit in range(0, 61, 3)] + [0x0001_0001_0001_0001 << b for b in (3,)]
    fill(database, "pool", [0, *masks])
    pairs = found(database, near_hashes(database, "pool", "pool", 4, agreeing=agreeing))
    assert {b for a, b in pairs if a == 0} == set(masks)


def test_a_crowd_of_equal_hashes_costs_no_more_than_one(
    database: duckdb.DuckDBPyConnection,
) -> None:
    hashes: list[int | None] = [5] * 200_000 + [4] * 200_000 + [None] * 1000
    fill(database, "pool", hashes)
    started = time.monotonic()
    pairs = found(database, near_hashes(database, "pool", "pool", 4))
    assert sorted(pairs) == [(4, 5), (5, 4)]
    assert time.monotonic() - started < 20  # 4e10 pairs would take hours


def test_the_same_tables_can_be_searched_again(database: duckdb.DuckDBPyConnection) -> None:
    fill(database, "pool", [1, 3, 255])
    assert len(found(database, near_hashes(database, "pool", "pool", 1))) == 2
    assert found(database, near_hashes(database, "pool", "pool", 0)) == []


def test_an_empty_table_has_no_pairs(database: duckdb.DuckDBPyConnection) -> None:
    fill(database, "pool", [])
    fill(database, "held_out", [1, None])
    assert found(database, near_hashes(database, "pool", "held_out", 4)) == []


def test_larger_pools_agree_on_more_blocks() -> None:
    chosen = [_least_work(10**power, 10**power, 4) for power in range(2, 10)]
    assert chosen == sorted(chosen)
    assert chosen[0] == 1
    assert chosen[-1] == 4
    assert _least_work(10**7, 10, 4) == 1  # few evaluation images: few joins
