"""What evaluation measures: a model of the store, or the colour-histogram baseline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from openmofi.evaluation.retrieval import FloatArray
from openmofi.versions import read_manifest

if TYPE_CHECKING:
    from openmofi.models.encoder import ClipEncoder

HISTOGRAM = "colour_histogram"
_BINS = 8  # a channel: 512 in all
_SIDE = 64  # pixels; larger pictures are averaged down, so that size does not matter


@dataclass(frozen=True)
class Embedder:
    """A way from images, and perhaps texts, to vectors of one space.

    Attributes:
        name: For people.
        digest: Names exactly what it computes; embeddings are cached by it.
        embed_images: RGB images to [B, D] floats.
        embed_texts: Texts to [B, D] floats; None if it reads no text.
        batch_size: Images a call.
    """

    name: str
    digest: str
    embed_images: Callable[[Sequence[Image.Image]], FloatArray]
    embed_texts: Callable[[Sequence[str]], FloatArray] | None = None
    batch_size: int = 64


def model_embedder(model: str, *, device: str = "cpu", batch_size: int = 64) -> Embedder:
    """The embedder of a ``model`` manifest. Weights are loaded at the first call, not before."""
    manifest = read_manifest(model, "model")

    @cache
    def encoder() -> "ClipEncoder":
        from openmofi.models.encoder import load_encoder

        return load_encoder(model, device=device)

    return Embedder(
        name=model_name(model),
        digest=manifest.digest,
        embed_images=lambda images: encoder().encode_images(list(images)),
        embed_texts=lambda texts: encoder().encode_texts(list(texts)),
        batch_size=batch_size,
    )


def model_name(model: str) -> str:
    """What a model manifest's origin calls it, with the start of its digest."""
    manifest = read_manifest(model, "model")
    origin = manifest.content.get("origin") or {}
    name = origin.get("name") or origin.get("source") or origin.get("kind") or "model"
    return f"{str(name).rstrip('/').rpartition('/')[2]} ({manifest.digest[:8]})"


def colour_histogram() -> Embedder:
    """Square roots of a joint RGB histogram of 8 x 8 x 8 bins: what colour alone achieves."""
    return Embedder(
        name="colour histogram",
        digest=f"{HISTOGRAM}-{_BINS}-{_SIDE}-1",
        embed_images=lambda images: np.stack([_histogram(image) for image in images]),
    )


def _histogram(image: Image.Image) -> FloatArray:
    small = image.convert("RGB")
    if max(small.size) > _SIDE:
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    bins = np.asarray(small).reshape(-1, 3).astype(np.int64) * _BINS // 256
    index = (bins[:, 0] * _BINS + bins[:, 1]) * _BINS + bins[:, 2]
    counts = np.bincount(index, minlength=_BINS**3)
    # Square roots: the dot product of two is the Bhattacharyya coefficient.
    roots: FloatArray = np.sqrt(counts / counts.sum()).astype(np.float32)
    return roots
