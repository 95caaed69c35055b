"""GPR1200's retrieval protocol, exactly, over any labelled set; and leave-one-out.

Every image is a query against all images, itself included. AP = (1/P) * sum over the P images of
its class of (class images up to that rank / rank); the self-match counts, which makes 10 % the
floor for ten images a class. `leave_one_out` takes the query out of its own list. Ties stand in
index order, as a stable sort leaves them. Protocol: Schall et al., GPR1200 (MMM 2022).

No list is ever sorted: the rank of a class image is 1 + the number of greater similarities + the
number of equal ones with a smaller index, counted over blocks of queries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_BLOCK_BYTES = 12 << 20  # similarities held at once; stays near the cache, so counting is fast
_SORT_FROM = 128  # class images from which sorting a row beats counting for each of them


@dataclass(frozen=True)
class RetrievalScores:
    """Average precision of every query, 0 to 1.

    Attributes:
        ap: [N] the self-match counts.
        ap_leave_one_out: [N] without it; NaN where the class has one image and nothing is to find.
    """

    ap: npt.NDArray[np.float64]
    ap_leave_one_out: npt.NDArray[np.float64]

    @property
    def queries_without_positive(self) -> int:
        """Queries that leave-one-out can't judge and leaves out of its mean."""
        return int(np.isnan(self.ap_leave_one_out).sum())


def average_precisions(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> RetrievalScores:
    """AP of every image as query against all of them.

    Args:
        embeddings: [N, D] floats; L2-normalised here.
        labels: [N] integers.

    Raises:
        InputError: Wrong shape or type, NaN or infinite values, an all-zero row.
    """
    vectors, classes = check_embeddings(embeddings, labels)
    members = _members(classes)
    ap = np.empty(len(classes))
    ap_leave_one_out = np.empty(len(classes))
    for start, similarities in similarity_blocks(vectors):
        for row, query in zip(similarities, range(start, start + len(similarities)), strict=True):
            positives = members[classes[query]]
            ranks = positive_ranks(row, positives)
            ap[query] = _average_precision(ranks)
            ap_leave_one_out[query] = _leave_one_out(ranks, positives, query)
    return RetrievalScores(ap, ap_leave_one_out)


def positive_ranks(row: FloatArray, positives: IntArray) -> IntArray:
    """Rank (from 1) of each positive in ``row`` sorted stably from high to low.

    Args:
        row: [N] similarities of one query.
        positives: [P] indices, ascending.
    """
    if len(positives) >= _SORT_FROM:
        order = np.argsort(-row, kind="stable")
        ranks = np.empty(len(row), dtype=np.int64)
        ranks[order] = np.arange(1, len(row) + 1)
        return ranks[positives]
    count = np.count_nonzero
    # Before a positive stand the equal ones with a smaller index, after it only greater ones count.
    return np.array(
        [1 + count(row[:p] >= row[p]) + count(row[p + 1 :] > row[p]) for p in positives.tolist()],
        dtype=np.int64,
    )


def similarity_blocks(vectors: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Index of the first query and the similarities [B, N] of a block of queries, block by block.

    Args:
        vectors: [N, D] of unit length.
    """
    size = max(1, _BLOCK_BYTES // (4 * len(vectors)))
    for start in range(0, len(vectors), size):
        yield start, vectors[start : start + size] @ vectors.T


def check_embeddings(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[FloatArray, IntArray]:
    """Float32 unit vectors and int64 labels, or an `InputError` that says what is wrong."""
    vectors, classes = np.asarray(embeddings), np.asarray(labels)
    if vectors.ndim != 2 or not vectors.size or vectors.dtype.kind != "f":
        raise InputError(
            f"embeddings must be floats of shape N x D, got {vectors.dtype} {vectors.shape}"
        )
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise InputError(f"labels must be N integers, got {classes.dtype} {classes.shape}")
    if len(classes) != len(vectors):
        raise InputError(f"{len(vectors)} embeddings and {len(classes)} labels: not one each")
    return unit_rows(vectors), classes.astype(np.int64)


def unit_rows(vectors: npt.NDArray[np.floating]) -> FloatArray:
    """Rows [N, D] scaled to length 1, float32; `InputError` for a row that has no direction."""
    lengths = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths[:, 0]))
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(vectors)} embeddings hold NaN or infinite values, "
            f"the first in row {bad[0]}"
        )
    zero = np.flatnonzero(lengths[:, 0] == 0)
    if len(zero):
        raise InputError(
            f"{len(zero)} of {len(vectors)} embeddings are all zero, the first in row {zero[0]}"
        )
    return np.ascontiguousarray((vectors / lengths).astype(np.float32))


def load_array(path: Path) -> npt.NDArray[np.generic]:
    """A ``.npy`` file, mapped; `InputError` if it is missing, no array, or holds objects."""
    if not path.is_file():
        raise InputError(f"file not found: {path}")
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a .npy array: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, np.ndarray):
        raise InputError(f"{path} holds several arrays (.npz); one .npy array is needed")
    return loaded


def _members(classes: IntArray) -> dict[np.int64, IntArray]:
    """Indices of each class, ascending."""
    order = np.argsort(classes, kind="stable")
    names, starts = np.unique(classes[order], return_index=True)
    return dict(zip(names, np.split(order, starts[1:]), strict=True))


def _average_precision(ranks: IntArray) -> float:
    found = np.sort(ranks)
    return float(np.mean(np.arange(1, len(found) + 1) / found))


def _leave_one_out(ranks: IntArray, positives: IntArray, query: int) -> float:
    """AP after taking the query out: what stood behind it moves up by one."""
    if len(positives) == 1:
        return float("nan")
    own = ranks[positives == query]
    others = ranks[positives != query]
    return _average_precision(others - (own < others))
