"""Near rows against the matrix product of 64 bits."""

import numpy as np
import numpy.typing as npt
import pytest

from openmofi.dataset.duplicates.vector_search import MOST, near_among, near_between


def drawn(rows: int, dim: int, seed: int) -> npt.NDArray[np.float16]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def cosines(left: npt.NDArray[np.float16], right: npt.NDArray[np.float16]) -> np.ndarray:
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=1)
    return left @ right.T / lengths


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    found = [(int(a), int(b)) for a, b in pairs]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("rows", [1, 2, 1024, 1025, 2100])
def test_pairs_among_are_those_of_the_product(rows: int) -> None:
    vectors = drawn(rows, 3, rows)
    near = np.triu(cosines(vectors, vectors) >= 0.999, 1)
    assert as_set(near_among(vectors, 0.999)) == as_set(np.argwhere(near))
    assert near.any() == (rows > 2)


def test_pairs_between_are_those_of_the_product() -> None:
    left, right = drawn(1500, 3, 0), drawn(17_000, 3, 1)  # more than a block of either
    near = cosines(left, right) >= 0.9998
    assert as_set(near_between(left, right, 0.9998)) == as_set(np.argwhere(near))
    assert near[:, 16_384:].any()
    assert near[1024:].any()


@pytest.mark.parametrize("step", [-1e-9, 1e-9])
def test_the_bound_is_compared_with_64_bits(step: float) -> None:
    vectors = drawn(300, 64, 2)
    every = np.sort(cosines(vectors, vectors)[np.triu_indices(300, 1)])
    bound = float(every[-40]) + step  # just below or above the 40th
    assert len(near_among(vectors, bound)) == (40 if step < 0 else 39)


def test_equal_vectors_have_the_cosine_1_however_they_are_rounded() -> None:
    vectors = drawn(50, 100, 3)
    twice = np.concatenate([vectors, vectors])
    assert as_set(near_among(twice, 1.0)) == {(row, row + 50) for row in range(50)}


def test_a_vector_of_zeros_is_near_nothing() -> None:
    vectors = np.array([[0, 0], [0, 0], [1, 0], [1, 0]], np.float16)
    with np.errstate(all="raise"):
        assert near_among(vectors, 0.5).tolist() == [[2, 3]]
        assert near_between(vectors[:2], vectors, 0.5).tolist() == []


def test_a_row_is_told_its_first_near_rows_alone() -> None:
    crowd = np.ones((1100, 2), np.float16)
    expected = {(a, b) for b in range(1100) for a in range(min(b, MOST))}
    assert as_set(near_among(crowd, 0.9)) == expected
    between = {(a, b) for b in range(3) for a in range(MOST)}
    assert as_set(near_between(crowd, crowd[:3], 0.9)) == between
