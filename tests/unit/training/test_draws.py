import numpy as np
import pytest

from openmofi.training.draws import integer, permute, uniforms


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 1000, 4096, 4097])
def test_permute_is_a_bijection(size):
    moved = permute(np.arange(size), size, "key", size)
    assert sorted(moved.tolist()) == list(range(size))


def test_permute_needs_no_neighbours():
    whole = permute(np.arange(5000), 5000, 1)
    some = np.array([4999, 0, 17, 17])
    assert permute(some, 5000, 1).tolist() == whole[some].tolist()


def test_permute_reaches_a_billion():
    moved = permute(np.array([0, 1, 999_999_999]), 1_000_000_000, "big")
    assert len(set(moved.tolist())) == 3
    assert moved.max() < 1_000_000_000


def test_permutations_of_two_keys_are_unrelated():
    size = 10_000
    first, second = (permute(np.arange(size), size, key) for key in (1, 2))
    assert (first == second).mean() < 0.001
    # The mean distance of two uniform places is a third of the range.
    assert abs(np.abs(first - np.arange(size)).mean() / size - 1 / 3) < 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    neighbours = np.abs(np.diff(first))
    assert abs(neighbours.mean() / size - 1 / 3) < 0.01


def test_permute_refuses_an_index_outside():
    with pytest.raises(IndexError, match="outside"):
        permute(np.array([5]), 5, "key")


def test_uniforms_are_uniform_and_named_by_their_key():
    values = np.array([uniforms(2, 7, epoch, "uid") for epoch in range(4000)])
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values[:, 0], bins=10, range=(0, 1))[0]
    assert np.abs(counts - 400).max() < 4.5 * np.sqrt(400 * 0.9)
    assert abs(np.corrcoef(values.T)[0, 1]) < 0.06
    assert uniforms(2, 7, 3, "uid") == values[3].tolist()


def test_parts_of_a_key_do_not_run_together():
    assert integer(1, 23) != integer(12, 3)
    assert 0 <= integer("x") < 2**63
