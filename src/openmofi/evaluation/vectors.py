"""Vectors of an evaluation set's images and texts, made once and kept in the store.

They are known by the digests of model and data. A model's digest covers its preprocessing, since
its folder holds it; code that changes either raises `EMBEDDING_VERSION`. So a second suite, other
prompts or a later comparison cost no forward pass.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from openmofi.errors import InputError
from openmofi.evaluation.embedders import Embedder
from openmofi.evaluation.retrieval import FloatArray, unit_rows
from openmofi.evaluation_data.image_set import ImageSet
from openmofi.images import ImageProblemError, decode_image
from openmofi.keys import hash_json, recipe_key
from openmofi.progress import bar
from openmofi.records import from_npy, to_npy
from openmofi.storage import Store

EMBEDDING_VERSION = 1  # raised by hand when an image's vector by the same model changes

_DECODERS = 8  # threads at most; Pillow decodes outside of Python's lock


def set_vectors(store: Store, embedder: Embedder, images: ImageSet) -> FloatArray:
    """Unit vectors [N, D] of a set's images.

    Raises:
        InputError: An image does not open, or the embedder gives no usable vectors.
    """
    if embedder.rows is not None:
        return _unit(embedder, embedder.rows(images))
    paths = images.paths
    pictures = Pictures(images.digest, range(len(paths)), lambda index: open_image(images, index))
    return picture_vectors(store, embedder, pictures)


class Pictures:
    """Pictures by number, under a digest of what they show.

    Args:
        digest: Of all of them.
        indices: Which are embedded, in order.
        draw: Number to picture.
        label: For the progress bar.
    """

    def __init__(
        self,
        digest: str,
        indices: Iterable[int],
        draw: Callable[[int], Image.Image],
        label: str = "",
    ) -> None:
        self.digest = digest
        self.indices = list(indices)
        self.draw = draw
        self.label = label


def picture_vectors(store: Store, embedder: Embedder, pictures: Pictures) -> FloatArray:
    """Unit vectors [pictures, D], cached; errors as of `set_vectors`."""
    digests = {"model": embedder.digest, "data": pictures.digest}
    key = f"evaluation/embeddings/{recipe_key('vectors', EMBEDDING_VERSION, {}, digests, [])}.npy"
    kept = _read(store, key)
    if kept is not None:
        return kept
    vectors = _embed_all(embedder, pictures)
    store.put(key, to_npy(vectors))
    return vectors


def text_vectors(store: Store, embedder: Embedder, texts: Sequence[str]) -> FloatArray:
    """Unit vectors [texts, D], cached.

    Raises:
        InputError: The embedder reads no text, or gives no usable vectors.
    """
    if embedder.embed_texts is None:
        raise InputError(f"{embedder.name} reads no text")
    digests = {"model": embedder.digest, "texts": hash_json(list(texts))}
    key = f"evaluation/embeddings/{recipe_key('texts', EMBEDDING_VERSION, {}, digests, [])}.npy"
    kept = _read(store, key)
    if kept is not None:
        return kept
    found = _one_vector_each(embedder, embedder.embed_texts(texts), len(texts))
    vectors = _unit(embedder, found)
    store.put(key, to_npy(vectors))
    return vectors


def open_image(images: ImageSet, index: int) -> Image.Image:
    """One image of a set; `InputError` that names its file if it does not open."""
    path = images.paths[index]
    try:
        return decode_image(path.read_bytes())
    except (ImageProblemError, OSError) as error:
        raise InputError(
            f"evaluation image {path} does not open: {error}; replace it or take it out"
        ) from None


def same_width(embedder: Embedder, first: FloatArray, second: FloatArray, *, what: str) -> None:
    """Refuse vectors that cannot be compared.

    Args:
        embedder: Who made them.
        first: [N, D] of the images that are tested on.
        second: [M, D'] of something else.
        what: That something, for the message.

    Raises:
        InputError: D and D' differ.
    """
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"{embedder.name} gives images {first.shape[1]} numbers and {what} "
            f"{second.shape[1]}: they are not of one space"
        )


def _embed_all(embedder: Embedder, pictures: Pictures) -> FloatArray:
    parts: list[FloatArray] = []
    size, indices = embedder.batch_size, pictures.indices
    starts = range(0, len(indices), size)
    label = f"{embedder.name}{f', {pictures.label}' if pictures.label else ''}"
    with ThreadPoolExecutor(min(_DECODERS, os.cpu_count() or 1)) as pool:
        for start in bar(starts, label=label, total=len(starts), unit="batch"):
            images = list(pool.map(pictures.draw, indices[start : start + size]))
            found = _one_vector_each(embedder, embedder.embed_images(images), len(images))
            if parts and found.shape[1] != parts[0].shape[1]:
                raise InputError(
                    f"{embedder.name} gave vectors of {parts[0].shape[1]} numbers, then of "
                    f"{found.shape[1]}"
                )
            parts.append(found)
    return _unit(embedder, np.concatenate(parts))


def _one_vector_each(embedder: Embedder, vectors: FloatArray, expected: int) -> FloatArray:
    if vectors.ndim != 2 or len(vectors) != expected:
        raise InputError(
            f"{embedder.name} gave vectors of shape {vectors.shape} for {expected} inputs"
        )
    return vectors


def _unit(embedder: Embedder, vectors: FloatArray) -> FloatArray:
    try:
        return unit_rows(vectors)
    except InputError as error:
        raise InputError(f"{embedder.name}: {error}") from None


def _read(store: Store, key: str) -> FloatArray | None:
    return from_npy(store.get(key)) if store.exists(key) else None
