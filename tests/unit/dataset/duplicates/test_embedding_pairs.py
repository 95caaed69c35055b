"""Buckets against all pairs: nothing wrong, hardly anything missed, the same every time."""

from collections.abc import Callable, Iterator

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from openmofi.dataset.duplicates.embedding_pairs import Blocks, embedding_pairs
from openmofi.dataset.duplicates.first_wins import first_wins
from openmofi.dataset.duplicates.vector_search import MOST

Vectors = npt.NDArray[np.float16]


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def planted(cosine: float, *, centre: float = 1.0, seed: int = 0) -> Vectors:
    """Around 60 centres of some weight; every second vector at ``cosine`` to the one before it."""
    rows, dim = 4000, 64
    rng = np.random.default_rng(seed)
    centres = centre * rng.normal(size=(60, dim))
    vectors = unit(centres[rng.integers(0, 60, rows // 2)] + rng.normal(size=(rows // 2, dim)))
    aside = rng.normal(size=vectors.shape)
    aside = unit(aside - (aside * vectors).sum(axis=1, keepdims=True) * vectors)
    near = cosine * vectors + np.sqrt(1 - cosine**2) * aside
    return np.stack([vectors, near], axis=1).reshape(rows, dim).astype(np.float16)


def in_shards(vectors: Vectors, size: int) -> Blocks:
    def blocks() -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
        for start in range(0, len(vectors), size):
            part = vectors[start : start + size]
            yield 5 * (start + np.arange(len(part))), part

    return blocks


def all_pairs(vectors: Vectors, cosine: float) -> set[tuple[int, int]]:
    exact = unit(vectors.astype(np.float64))
    near = np.argwhere(np.triu(exact @ exact.T >= cosine, 1))
    return {(5 * int(a), 5 * int(b)) for a, b in near}


def found_in(pairs: npt.NDArray[np.int64]) -> set[tuple[int, int]]:
    assert (pairs[:, 0] < pairs[:, 1]).all()
    found = [tuple(pair) for pair in pairs.tolist()]
    assert found == sorted(set(found))
    return set(found)


def test_few_vectors_are_searched_exactly() -> None:
    vectors = planted(0.95)
    found = embedding_pairs(in_shards(vectors, 300), len(vectors), 0.95)
    assert found_in(found) == all_pairs(vectors, 0.95)


@pytest.mark.parametrize("centre", [0.0, 1.0])  # without centres, every vector is on some border
@pytest.mark.parametrize("cosine", [0.95, 0.98])
def test_buckets_find_nothing_wrong_and_miss_less_than_one_in_a_hundred(
    cosine: float, centre: float
) -> None:
    vectors = planted(cosine + 0.001, centre=centre)
    expected = all_pairs(vectors, cosine)
    assert len(expected) >= 1990
    pairs = embedding_pairs(in_shards(vectors, 300), len(vectors), cosine, bucket_rows=100)
    found = found_in(pairs)
    assert found <= expected
    assert len(found) >= 0.99 * len(expected)


def test_memory_for_a_few_vectors_changes_nothing() -> None:
    vectors = planted(0.96)
    blocks, expected = in_shards(vectors, 300), len(vectors)
    roomy = embedding_pairs(blocks, expected, 0.95, bucket_rows=100)
    tight = embedding_pairs(blocks, expected, 0.95, bucket_rows=100, memory_bytes=400 * 2 * 64)
    np.testing.assert_array_equal(roomy, tight)


def crowd(rows: int, dim: int = 16) -> Vectors:
    """All near each other, so that they make one bucket, whatever its size."""
    noise = np.random.default_rng(1).normal(size=(rows, dim))
    return unit(np.ones(dim) + 0.02 * noise).astype(np.float16)


def test_a_bucket_that_is_too_large_is_searched_part_by_part() -> None:
    vectors = crowd(700)
    size = {"bucket_rows": 20, "memory_bytes": 50 * 2 * 16}
    found = found_in(embedding_pairs(in_shards(vectors, 100), 700, 0.99, **size))
    expected = all_pairs(vectors, 0.99)
    assert found <= expected
    # In each of 14 parts, every sample is told the first ones of every part before it.
    assert {(0, 5 * late) for late in range(1, 700)} <= found
    assert {(3000, 5 * late) for late in range(601, 700)} <= found


def test_a_crowd_is_not_all_pairs_and_comes_to_the_same() -> None:
    vectors = crowd(700)
    expected = all_pairs(vectors, 0.99)
    assert len(expected) > 200_000
    found = embedding_pairs(in_shards(vectors, 100), 700, 0.99, bucket_rows=20)
    assert found_in(found) <= expected
    assert len(found) <= MOST * 700
    winners = first_wins(np.array(sorted(expected), np.int64))
    np.testing.assert_array_equal(first_wins(found), winners)


def test_the_same_every_time_for_any_threads_and_shards() -> None:
    vectors = planted(0.7, centre=0.0, seed=3)

    def run(threads: int, size: int) -> npt.NDArray[np.int64]:
        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(threads)
        try:
            return embedding_pairs(in_shards(vectors, size), 4000, 0.69, bucket_rows=100)
        finally:
            faiss.omp_set_num_threads(before)

    first = run(1, 300)
    assert 1500 < len(first) < 1990  # so far apart, some are missed: always the same ones
    for again in (run(1, 300), run(2, 300), run(2, 1000)):
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("expected", [0, 10, 100_000])
def test_no_vector_is_no_pair(expected: int) -> None:
    def nothing() -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
        yield np.empty(0, np.int64), np.empty((0, 8), np.float16)

    for blocks in (nothing, lambda: iter(())):
        assert embedding_pairs(blocks, expected, 0.9).shape == (0, 2)


def test_files_are_removed(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[int] = []
    vectors = planted(0.96)
    shards: Callable = in_shards(vectors, 1000)

    def watched() -> Iterator:
        for block in shards():
            seen.append(len(list(tmp_path.rglob("*.vectors"))))
            yield block

    embedding_pairs(watched, 4000, 0.95, bucket_rows=100, memory_bytes=1000 * 2 * 64)
    assert max(seen) > 0
    assert list(tmp_path.iterdir()) == []
