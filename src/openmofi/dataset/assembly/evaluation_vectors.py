"""Embeddings of evaluation images, by the model that embedded the pool; kept in the store."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.evaluation_data.image_set import ImageSet
from openmofi.images import ImageProblemError, decode_image
from openmofi.progress import bar
from openmofi.records import from_npy, to_npy
from openmofi.storage import Store
from openmofi.versions import Manifest, manifest_key

if TYPE_CHECKING:
    from PIL import Image

_BATCH = 64


def evaluation_vectors(
    store: Store, model: str, sets: Sequence[ImageSet]
) -> npt.NDArray[np.float16]:
    """Unit vectors of all images that decode.

    Each set is embedded once a model and kept in the store, so that the next assembly needs no
    encoder.

    Args:
        store: Of the pool, which holds the model too.
        model: Digest of the one that embedded the pool; empty if its table does not say.
        sets: At least one.

    Returns:
        [images, dim].

    Raises:
        InputError: The model is not in the store.
    """
    keys = [f"evaluation_embeddings/{model}/{images.digest}.npy" for images in sets]
    missing = {key: one for key, one in zip(keys, sets, strict=True) if not store.exists(key)}
    if missing:
        manifest = Manifest(store, "model", model)
        if not (model and store.exists(manifest_key("model", model))):
            raise InputError(
                f"evaluation_cosine needs the model that embedded the pool, and {manifest.uri} is "
                "not there; import it, or leave evaluation_cosine out"
            )
        _embed(store, manifest.uri, missing)
    return np.concatenate([from_npy(store.get(key)) for key in keys])


def _embed(store: Store, model: str, sets: Mapping[str, ImageSet]) -> None:
    """Write the vectors of each set under its key."""
    from openmofi.models.encoder import load_encoder

    encoder = load_encoder(model, device="auto")
    for key, images in sets.items():
        found = [encoder.encode_images(batch) for batch in _decoded(images)]
        vectors = np.concatenate([np.zeros((0, encoder.dim), np.float32), *found])
        store.put(key, to_npy(vectors[np.isfinite(vectors).all(axis=1)].astype(np.float16)))


def _decoded(images: ImageSet) -> "Iterator[list[Image.Image]]":
    starts = range(0, len(images.paths), _BATCH)
    for start in bar(starts, label="evaluation images", unit="batch"):
        batch = []
        for path in images.paths[start : start + _BATCH]:
            try:
                batch.append(decode_image(path.read_bytes()))
            except ImageProblemError:
                continue  # its bytes are still compared, by image id
        if batch:
            yield batch
