"""Retrieval between images and their captions: recall at 1, 5 and 10, in both directions.

An image counts as a hit if any of its captions is among the first K texts; a caption, if its own
image is among the first K images. No re-ranking. Equal similarities stand in index order.
Convention: CLIP and CLIP_benchmark.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from openmofi.evaluation.retrieval import FloatArray, IntArray

TO_TEXT = "image_text/image_to_text"
TO_IMAGE = "image_text/text_to_image"
CUTS = (1, 5, 10)

_BLOCK_BYTES = 64 << 20  # similarities held at once


def recall_columns(
    images: FloatArray, texts: FloatArray, owners: IntArray
) -> dict[str, npt.NDArray[np.float64]]:
    """Recall at each cut, one value an image [N], so that images are what a bootstrap draws.

    An image's captions share its difficulty, so they are no queries of their own: the text to
    image value of an image is its captions' hits, scaled so that the mean over images is exactly
    the mean over captions.

    Args:
        images: [N, D] of unit length.
        texts: [M, D] of unit length.
        owners: [M] index of each text's image; every image has at least one.
    """
    to_text = text_ranks(images, texts, owners)
    to_image = image_ranks(images, texts, owners)
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for cut in CUTS:
        columns[f"{TO_TEXT}_r{cut}"] = (to_text <= cut).astype(np.float64)
        hits = np.bincount(owners, weights=to_image <= cut, minlength=len(images))
        columns[f"{TO_IMAGE}_r{cut}"] = hits * len(images) / len(texts)
    return columns


def text_ranks(images: FloatArray, texts: FloatArray, owners: IntArray) -> IntArray:
    """Rank [N], from 1, of the best of each image's own captions among all texts."""
    ranks = np.empty(len(images), dtype=np.int64)
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(len(images) + 1))
    for image, row in _rows(images, texts):
        own = order[bounds[image] : bounds[image + 1]]
        ranks[image] = _rank(row, int(own[np.argmax(row[own])]))
    return ranks


def image_ranks(images: FloatArray, texts: FloatArray, owners: IntArray) -> IntArray:
    """Rank [M], from 1, of each text's image among all images."""
    ranks = np.empty(len(texts), dtype=np.int64)
    for text, row in _rows(texts, images):
        ranks[text] = _rank(row, int(owners[text]))
    return ranks


def _rank(row: FloatArray, index: int) -> int:
    """Where ``index`` stands in ``row`` sorted stably from high to low, from 1."""
    value = row[index]
    return 1 + int(np.count_nonzero(row > value) + np.count_nonzero(row[:index] == value))


def _rows(queries: FloatArray, others: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    size = max(1, _BLOCK_BYTES // (4 * len(others)))
    for start in range(0, len(queries), size):
        yield from enumerate(queries[start : start + size] @ others.T, start=start)
