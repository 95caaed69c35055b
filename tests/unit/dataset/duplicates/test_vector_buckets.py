"""What goes in comes out, by bucket, with no more in memory than allowed."""

from pathlib import Path

import numpy as np
import pytest

from openmofi.dataset.duplicates.vector_buckets import BucketFiles

DIM = 4
ROW_BYTES = 2 * DIM


def filled(folder: Path, rows_in_memory: int, *, buckets: int = 7, rows: int = 200):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(rows, DIM)).astype(np.float16)
    chosen = np.stack([rng.permutation(buckets)[:2] for _ in range(rows)])
    chosen[:, 0] = np.where(rng.random(rows) < 0.5, 3, chosen[:, 0])  # one that is full
    chosen[:, 1] = np.where(
        chosen[:, 1] == chosen[:, 0], (chosen[:, 0] + 1) % buckets, chosen[:, 1]
    )
    numbers = np.arange(rows) * 11
    files = BucketFiles(folder, buckets, DIM, rows_in_memory * ROW_BYTES)
    for start in range(0, rows, 30):
        part = slice(start, start + 30)
        files.add(chosen[part], numbers[part], vectors[part])
    files.flush()
    return files, chosen, numbers, vectors


@pytest.mark.parametrize("rows_in_memory", [13, 64, 1000])
def test_every_bucket_gets_back_its_vectors_in_order(tmp_path: Path, rows_in_memory: int) -> None:
    files, chosen, numbers, vectors = filled(tmp_path, rows_in_memory)
    found: dict[int, list[tuple[int, bytes]]] = {bucket: [] for bucket in range(7)}
    for first, last in files.groups():
        for runs in files.parts(first, last):
            part = files.read(first, last, runs)
            assert len(part.numbers) <= rows_in_memory
            for bucket, (start, end) in enumerate(zip(part.starts, part.starts[1:], strict=False)):
                rows = zip(part.numbers[start:end], part.vectors[start:end], strict=True)
                found[first + bucket] += [(int(n), v.tobytes()) for n, v in rows]
    for bucket in range(7):
        rows = np.flatnonzero((chosen == bucket).any(axis=1))
        assert found[bucket] == [(int(numbers[r]), vectors[r].tobytes()) for r in rows]


def test_no_run_is_larger_than_allowed(tmp_path: Path) -> None:
    filled(tmp_path, 13)
    runs = sorted(tmp_path.glob("*.vectors"))
    assert len(runs) > 5
    assert max(path.stat().st_size for path in runs) <= 2 * 13 * ROW_BYTES  # two copies


def test_small_buckets_are_read_together(tmp_path: Path) -> None:
    files, *_ = filled(tmp_path, 1000)
    assert list(files.groups()) == [(0, 7)]


def test_nothing_in_is_nothing_out(tmp_path: Path) -> None:
    files = BucketFiles(tmp_path, 3, DIM, 100)
    files.flush()
    for first, last in files.groups():
        assert files.parts(first, last) == [slice(0, 0)]
    assert list(tmp_path.iterdir()) == []
