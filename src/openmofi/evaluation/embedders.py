"""What evaluation measures: any model, vectors from a file, or the colour-histogram baseline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from openmofi.errors import InputError
from openmofi.evaluation.retrieval import FloatArray, load_array
from openmofi.evaluation_data.image_set import ImageSet
from openmofi.keys import hash_file
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
        rows: Vectors [N, D] of a whole set that are there already; None if they are computed.
    """

    name: str
    digest: str
    embed_images: Callable[[Sequence[Image.Image]], FloatArray]
    embed_texts: Callable[[Sequence[str]], FloatArray] | None = None
    batch_size: int = 64
    rows: Callable[[ImageSet], FloatArray] | None = None


def is_array(source: str) -> bool:
    """Whether a candidate is vectors in a file, and no model."""
    return source.endswith(".npy")


def find_model(source: str, root: str) -> str:
    """URI of the manifest of a model; what has none yet is imported first.

    A result must not depend on a name that can move, so the model is copied into the store and
    known by its digest from then on, as pipelines do it.

    Args:
        source: URI of a ``model`` manifest; a folder in open_clip's layout, which an export of
            ours is, or in transformers'; ``hf-hub:org/name``; or an open_clip architecture, with
            ``@`` and the tag of its weights: ``ViT-B-32@laion2b_s34b_b79k``.
        root: The store for the copy.

    Raises:
        InputError: The source is unknown, incomplete, damaged or out of reach.
    """
    if "/manifests/" in source:
        return source
    from openmofi.models.importing import import_model

    if source.startswith("hf-hub:") or Path(source).exists():
        return import_model(root, source=source)
    name, _, tag = source.partition("@")
    if not tag and "/" not in source:
        raise InputError(
            f"model {source!r} names no weights; write {source}@TAG, an hf-hub:org/name or a folder"
        )
    return import_model(root, source=name, pretrained=tag)


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
    origin = manifest.origin
    name = origin.get("name") or origin.get("source") or origin.get("kind") or "model"
    return f"{str(name).rstrip('/').rpartition('/')[2]} ({manifest.digest[:8]})"


def array_embedder(path: Path) -> Embedder:
    """Vectors from elsewhere: row i of the file is image i of the evaluation set, as it is sorted.

    Raises:
        InputError: The file is missing or holds no floats of shape N x D; later, if it is asked
            for other images than the set's.
    """
    vectors = load_array(path)
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise InputError(f"{path} holds {vectors.dtype} {vectors.shape}, not floats of N x D")
    served: list[str] = []  # digest of the one set that the rows belong to

    def rows(images: ImageSet) -> FloatArray:
        if images.digest not in served and served:
            raise InputError(
                f"{path} holds vectors of the evaluation set alone; for images from other folders "
                "use a model, or `openmofi evaluate arrays`"
            )
        if len(images.paths) != len(vectors):
            raise InputError(
                f"{path} has {len(vectors)} rows, and the evaluation set {len(images.paths)} images"
            )
        served.append(images.digest)
        return np.asarray(vectors, dtype=np.float32)

    def refuse(images: Sequence[Image.Image]) -> FloatArray:
        raise InputError(f"{path} holds vectors of {len(vectors)} images and embeds no others")

    return Embedder(path.name, hash_file(path), refuse, rows=rows)


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
