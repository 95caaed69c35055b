"""GPR1200's retrieval protocol, exactly, over any labelled set; and leave-one-out.

Every image is a query against all images, itself included. AP = (1/P) * sum over the P images of
its class of (class images up to that rank / rank); the self-match counts, which makes 10 % the
floor for ten images a class. `leave_one_out` takes the query out of its own list. Protocol: Schall
et al., GPR1200 (MMM 2022).

Ties stand in index order, as a stable sort leaves them. Exact copies of an image need not tie: a
matrix product may round their similarities differently in the last bit, and by the size of a
block. So two right evaluators may differ a little on sets with copies; on the same similarities
they agree.

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
_BLOCK_ROWS = 64  # at least: a product of fewer spends its time on reading all the vectors
_SORT_FROM = 128  # class images from which sorting a row beats counting for each of them
_RANK_CELLS = 1 << 17  # queries times class images ranked at once: 1 MB
_UNIT_ROWS = 4096  # scaled at once, so that only the result is held whole


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


@dataclass(frozen=True)
class _Classes:
    """Images by class, so that the queries of classes of one size are scored together."""

    size: IntArray  # [N] images of the query's class
    row: IntArray  # [N] where its class stands in ``members[size]``
    members: dict[int, IntArray]  # size to [classes of that size, size] indices, ascending


def average_precisions(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> RetrievalScores:
    """AP of every image as query against all of them.

    Beside a copy of the embeddings it holds one block of similarities, never all N x N.

    Args:
        embeddings: [N, D] floats; L2-normalised here.
        labels: [N] integers.

    Raises:
        InputError: Wrong shape or type, NaN or infinite values, an all-zero row.
    """
    vectors, classes = check_embeddings(embeddings, labels)
    grouped = _group(classes)
    ap = np.empty(len(classes))
    ap_leave_one_out = np.empty(len(classes))
    for start, similarities in similarity_blocks(vectors):
        for queries, positives in _parts(grouped, start, start + len(similarities)):
            ranks = np.stack(
                [
                    positive_ranks(similarities[query - start], own)
                    for query, own in zip(queries.tolist(), positives, strict=True)
                ]
            )
            ap[queries] = _average_precision(ranks)
            ap_leave_one_out[queries] = _leave_one_out(ranks, positives, queries)
        del similarities  # else two blocks are held while the next one is made
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
    size = max(_BLOCK_ROWS, _BLOCK_BYTES // (4 * len(vectors)))
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
    parts = [slice(at, at + _UNIT_ROWS) for at in range(0, len(vectors), _UNIT_ROWS)]
    lengths = np.empty((len(vectors), 1), dtype=np.float32)
    for part in parts:
        rows = vectors[part].astype(np.float32, copy=False)
        lengths[part] = np.linalg.norm(rows, axis=1, keepdims=True)
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
    units = np.empty(vectors.shape, dtype=np.float32)
    for part in parts:
        np.divide(vectors[part], lengths[part], out=units[part], casting="same_kind")
    return units


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


def _group(classes: IntArray) -> _Classes:
    _, of_image, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    order = np.argsort(of_image, kind="stable")
    starts = np.cumsum(sizes) - sizes
    row_of_class = np.empty(len(sizes), dtype=np.int64)
    members = {}
    for size in np.unique(sizes).tolist():
        alike = np.flatnonzero(sizes == size)
        members[size] = order[starts[alike, None] + np.arange(size)]
        row_of_class[alike] = np.arange(len(alike))
    return _Classes(sizes[of_image], row_of_class[of_image], members)


def _parts(classes: _Classes, start: int, stop: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Queries [Q] of ``start`` to ``stop`` and the images [Q, P] of their classes, P by P."""
    sizes = classes.size[start:stop]
    for size in np.unique(sizes).tolist():
        alike = start + np.flatnonzero(sizes == size)
        at_once = max(1, _RANK_CELLS // size)
        for first in range(0, len(alike), at_once):
            queries = alike[first : first + at_once]
            yield queries, classes.members[size][classes.row[queries]]


def _average_precision(ranks: IntArray) -> npt.NDArray[np.float64]:
    """AP [Q] from the ranks [Q, P] of each query's class images, in any order."""
    precisions: npt.NDArray[np.float64] = np.arange(1, ranks.shape[1] + 1) / np.sort(ranks, axis=1)
    mean: npt.NDArray[np.float64] = precisions.mean(axis=1)
    return mean


def _leave_one_out(
    ranks: IntArray, positives: IntArray, queries: IntArray
) -> npt.NDArray[np.float64]:
    """AP [Q] after taking each query out: what stood behind it moves up by one."""
    if positives.shape[1] == 1:
        return np.full(len(queries), np.nan)
    own = positives == queries[:, None]
    others = ranks[~own].reshape(len(queries), -1)
    return _average_precision(others - (ranks[own][:, None] < others))
