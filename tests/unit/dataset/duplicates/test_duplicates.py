"""Who wins against an explicit walk."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.dataset.duplicates.first_wins import first_wins


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
