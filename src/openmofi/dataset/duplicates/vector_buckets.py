"""More vectors than memory holds, sorted by bucket in files of a working folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_ROWS_MOVED = 4096  # to or from a file at once, since that takes a copy


class Part(NamedTuple):
    """Vectors of some buckets, sorted by bucket, and in each by the order of their arrival."""

    numbers: npt.NDArray[np.int64]  # [rows]
    vectors: npt.NDArray[np.float16]  # [rows, dim]
    starts: npt.NDArray[np.int64]  # [buckets + 1]


class _Waiting:
    """Room for the rows of one run, filled from its start."""

    def __init__(self, rows: int, copies: int, dim: int) -> None:
        self.count = 0
        self._buckets = np.empty((rows, copies), np.int64)
        self._numbers = np.empty(rows, np.int64)
        self._vectors = np.empty((rows, dim), np.float16)

    def take(
        self,
        buckets: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.int64],
        vectors: npt.NDArray[np.float16],
    ) -> int:
        """Take what there is room for; how many rows that were."""
        taken = min(len(numbers), len(self._numbers) - self.count)
        place = slice(self.count, self.count + taken)
        self._buckets[place], self._numbers[place] = buckets[:taken], numbers[:taken]
        self._vectors[place] = vectors[:taken]
        self.count += taken
        return taken

    def content(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """Buckets, numbers and vectors."""
        return (
            self._buckets[: self.count],
            self._numbers[: self.count],
            self._vectors[: self.count],
        )


class BucketFiles:
    """An external sort: what arrives is sorted in memory and written run by run.

    Neighbouring buckets are read together, a slice of every run, so that reading is as sequential
    as writing however many and small the buckets are.

    Args:
        folder: Empty; removed by its owner.
        buckets: How many there are.
        dim: Numbers of a vector.
        memory_bytes: Of vectors in memory at once, on either way.
    """

    def __init__(self, folder: Path, buckets: int, dim: int, memory_bytes: int) -> None:
        self._folder = folder
        self._dim = dim
        self._rows = max(1, memory_bytes // (2 * dim))  # in memory at once
        self._waiting: _Waiting | None = None
        self._largest: list[int] = []  # rows of the largest bucket of each run
        self.counts = np.zeros(buckets, np.int64)

    def add(
        self,
        buckets: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.int64],
        vectors: npt.NDArray[np.float16],
    ) -> None:
        """Take vectors in, each into all of its buckets.

        Args:
            buckets: [rows, copies], different ones in a row, equally many in all.
            numbers: [rows], by which the vectors are known.
            vectors: [rows, dim].
        """
        start = 0
        while start < len(numbers):
            if self._waiting is None:
                self._waiting = _Waiting(self._rows, buckets.shape[1], self._dim)
            start += self._waiting.take(buckets[start:], numbers[start:], vectors[start:])
            if self._waiting.count == self._rows:
                self.flush()

    def flush(self) -> None:
        """Write what waits as one more run."""
        if self._waiting is None:
            return
        buckets, numbers, vectors = self._waiting.content()
        self._waiting = None
        order = np.argsort(buckets, axis=None, kind="stable")
        rows = order // buckets.shape[1]
        counts = np.bincount(buckets.ravel(), minlength=len(self.counts))
        path = self._run(len(self._largest))
        numbers[rows].tofile(path.with_suffix(".numbers"))
        np.concatenate([[0], np.cumsum(counts)]).tofile(path.with_suffix(".starts"))
        with path.open("wb") as file:
            for start in range(0, len(rows), _ROWS_MOVED):
                vectors[rows[start : start + _ROWS_MOVED]].tofile(file)
        self._largest.append(int(counts.max()))
        self.counts += counts

    def groups(self) -> Iterator[tuple[int, int]]:
        """First and last bucket (which is not included) of groups that fit into memory.

        A bucket that does not is a group alone; see `parts`.
        """
        first = 0
        for last in range(1, len(self.counts) + 1):
            if last == len(self.counts) or self.counts[first : last + 1].sum() > self._rows:
                yield first, last
                first = last

    def parts(self, first: int, last: int) -> list[slice]:
        """Runs that are read together, for a group: all of them, unless it is too large."""
        if self.counts[first:last].sum() <= self._rows:
            return [slice(0, len(self._largest))]
        cut, held = [0], 0
        for run, size in enumerate(self._largest):
            if held and held + size > self._rows:
                cut.append(run)
                held = 0
            held += size
        return [slice(a, b) for a, b in zip(cut, [*cut[1:], len(self._largest)], strict=True)]

    def read(self, first: int, last: int, runs: slice) -> Part:
        """The vectors of a group in some runs."""
        edges = np.stack([self._edges(run, first, last) for run in range(runs.start, runs.stop)])
        sizes = np.diff(edges, axis=1)  # [runs, buckets]
        starts = np.concatenate([[0], np.cumsum(sizes.sum(axis=0))])
        numbers = np.empty(starts[-1], np.int64)
        vectors = np.empty((starts[-1], self._dim), np.float16)
        free = starts[:-1].copy()
        for run, edge, size in zip(range(runs.start, runs.stop), edges, sizes, strict=True):
            path, count = self._run(run), int(edge[-1] - edge[0])
            place = np.repeat(free - (edge[:-1] - edge[0]), size) + np.arange(count)
            numbers[place] = np.fromfile(
                path.with_suffix(".numbers"), np.int64, count=count, offset=8 * int(edge[0])
            )
            with path.open("rb") as file:
                file.seek(2 * self._dim * int(edge[0]))
                for start in range(0, count, _ROWS_MOVED):
                    rows = place[start : start + _ROWS_MOVED]
                    values = np.fromfile(file, np.float16, count=len(rows) * self._dim)
                    vectors[rows] = values.reshape(len(rows), self._dim)
            free += size
        return Part(numbers, vectors, starts)

    def _edges(self, run: int, first: int, last: int) -> npt.NDArray[np.int64]:
        """Where the buckets of a group begin in a run, and where the last one ends."""
        path = self._run(run).with_suffix(".starts")
        return np.fromfile(path, np.int64, count=last - first + 1, offset=8 * first)

    def _run(self, number: int) -> Path:
        return self._folder / f"{number:06d}.vectors"
