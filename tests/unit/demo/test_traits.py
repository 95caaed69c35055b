"""Siblings differ in a few traits, and in enough of them."""

import itertools

import numpy as np
import pytest

from openmofi.demo.traits import MIN_DIFFERENCES, sibling_traits

LEVELS = {"tail": (0, 1, 2), "band": (0, 1), "eyes": (0, 1, 3), "tip": (0, 1)}


def test_any_two_siblings_differ_in_two_traits() -> None:
    for seed in range(20):
        siblings = sibling_traits(LEVELS, 5, np.random.default_rng(seed))
        assert len(siblings) == 5
        for one, other in itertools.combinations(siblings, 2):
            assert sum(one[trait] != other[trait] for trait in LEVELS) >= MIN_DIFFERENCES
        assert all(value in LEVELS[trait] for one in siblings for trait, value in one.items())


def test_more_siblings_than_the_traits_give_are_refused() -> None:
    with pytest.raises(ValueError, match="give 2 siblings, wanted 3"):
        sibling_traits({"a": (0, 1), "b": (0, 1)}, 3, np.random.default_rng(1))
