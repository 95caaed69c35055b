"""Near pairs joined by an explicit walk, and splits that part none of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.dataset.duplicates.clusters import components
from support.assembly import assemble, embedded
from support.tables import labelled, write_pool

PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20)


def walk(pairs: list[tuple[int, int]]) -> dict[int, int]:
    """Union and find: the smaller root takes the larger one."""
    above = {one: one for pair in pairs for one in pair}

    def root(one: int) -> int:
        while above[one] != one:
            one = above[one]
        return one

    for left, right in pairs:
        low, high = sorted((root(left), root(right)))
        above[high] = low
    return {one: root(one) for one in above}


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_components_are_those_of_union_and_find(pairs: list[tuple[int, int]]) -> None:
    numbers = np.array([(7 * a, 7 * b) for a, b in pairs], np.int64).reshape(-1, 2)
    found = components(numbers)
    assert found[:, 0].tolist() == sorted(set(numbers.ravel().tolist()))
    assert dict(found.tolist()) == {7 * one: 7 * root for one, root in walk(pairs).items()}


CHAIN = [(1.0, 0.0), (np.cos(0.2), np.sin(0.2)), (np.cos(0.4), np.sin(0.4))]  # neighbours: 0.98


def test_a_chain_of_near_pictures_stands_in_one_split(root: Path, knowledge_base: str) -> None:
    pool = write_pool(root, {"a": [labelled(seed, ("peru", 0.4)) for seed in range(3)]})
    pool = embedded(pool, {"a": CHAIN})
    rule = {"perceptual_bits": None, "embedding_cosine": 0.97, "drop": False}
    seen = set()
    for seed in range(10):
        made = assemble(pool, knowledge_base, duplicates=rule, validation_share=0.5, seed=seed)
        splits = {name for name, number in made.content["splits"].items() if number}
        assert made.content["counts"] == {"kept": 3}
        assert len(splits) == 1, f"seed {seed} parts the chain"
        seen |= splits
    assert seen == {"train", "validation"}


@pytest.mark.parametrize("seed", range(6))
def test_chains_of_copies_near_by_hash_and_by_embedding_stay_together(
    root: Path, knowledge_base: str, seed: int
) -> None:
    """Row 1 is a copy of row 0 in all bits of its hash, row 2 is near row 1 by embedding alone."""
    pairs = [labelled(one, ("peru", 0.4)) for one in (0, 1, 2)]
    pairs[1] = replace(pairs[0], image=pairs[0].image + b"\0")
    pool = embedded(write_pool(root, {"a": pairs}), {"a": [(1, 0), (0, 1), (0.05, 1)]})
    rule = {"perceptual_bits": 0, "embedding_cosine": 0.99, "drop": False}
    made = assemble(pool, knowledge_base, duplicates=rule, validation_share=0.5, seed=seed)
    assert made.content["counts"] == {"kept": 3}
    assert sorted(made.content["splits"].values()) == [0, 3]
