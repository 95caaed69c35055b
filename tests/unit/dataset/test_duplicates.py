"""Near pairs against all pairs; who wins against an explicit walk."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.dataset.duplicates import first_wins, hash_pairs


def near_by_all_pairs(left: list[int], right: list[int], bits: int) -> set[tuple[int, int]]:
    return {(a, b) for a in left for b in right if (a ^ b).bit_count() <= bits}


def near_by_bands(left: list[int], right: list[int], bits: int) -> list[tuple[int, int]]:
    with duckdb.connect() as database:
        for name, values in (("l", left), ("r", right)):
            database.register(f"{name}_in", pa.table({"phash": pa.array(values, pa.uint64())}))
            database.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_in")
        return database.execute(
            f"SELECT a, b FROM {hash_pairs(database, 'l', 'r', bits)}"
        ).fetchall()


@pytest.mark.parametrize("bits", [0, 1, 3, 4, 16])
def test_bands_find_exactly_the_near_hashes(bits: int) -> None:
    rng = np.random.default_rng(bits)
    base = [int(value) for value in rng.integers(0, 2**64, 20, dtype=np.uint64)]
    others = []
    for value in base:
        for flips in range(bits + 3):
            mask = sum(1 << int(bit) for bit in rng.choice(64, flips, replace=False))
            others.append(value ^ mask)
    others += [0, 2**64 - 1, 1 << 63]
    found = near_by_bands(base, others, bits)
    assert len(found) == len(set(found))
    assert set(found) == near_by_all_pairs(base, others, bits)
    assert len(found) >= 20 * (bits + 1)


def walk(number: int, pairs: set[tuple[int, int]]) -> dict[int, int]:
    """One after the other: a sample goes with the first near sample that stays."""
    staying: list[int] = []
    gone: dict[int, int] = {}
    for sample in range(number):
        near = [early for early in staying if (early, sample) in pairs]
        if near:
            gone[sample] = near[0]
        else:
            staying.append(sample)
    return gone


def won(pairs: list[tuple[int, int]]) -> dict[int, int]:
    """Winner by loser, as `first_wins` says."""
    return dict(first_wins(np.array(pairs, dtype=np.int64).reshape(-1, 2)).tolist())


@settings(max_examples=100, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda p: p[0] < p[1])))
def test_the_earlier_wins_as_in_a_walk(pairs: set[tuple[int, int]]) -> None:
    shuffled = [pair if sum(pair) % 2 else pair[::-1] for pair in sorted(pairs, reverse=True)]
    assert won(shuffled) == walk(10, pairs)


def test_a_chain_is_not_followed() -> None:
    assert won([(0, 1), (1, 2)]) == {1: 0}


def test_a_long_chain_and_a_hub_are_walked_too() -> None:
    chain = {(sample, sample + 1) for sample in range(500)}
    hub = {(500, 600 + sample) for sample in range(300)}
    among = {(600 + a, 600 + b) for a in range(40) for b in range(a + 1, 40)}
    pairs = chain | hub | among
    assert won(sorted(pairs, reverse=True)) == walk(900, pairs)


def test_nobody_loses_without_a_pair() -> None:
    assert first_wins(np.empty((0, 2), np.int64)).shape == (0, 2)
    assert won([(3, 3)]) == {}
