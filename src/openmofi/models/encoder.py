"""Images and texts to unit vectors, by any model folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from openmofi.errors import InputError, StorageError
from openmofi.keys import hash_file, hash_folder
from openmofi.models.device import resolve_device
from openmofi.models.folder import load_model, load_tokenizer, read_folder_config
from openmofi.storage import local_folder
from openmofi.versions import Manifest, read_manifest

Vectors = npt.NDArray[np.float32]

_TEXT_BATCH = 64


class ClipEncoder:
    """A dual encoder, in eval mode and without gradients, always.

    Args:
        model: An open_clip model.
        tokenizer: ``list[str]`` to ``int64[B, context]``.
        preprocess: PIL image to ``float32[3, H, W]``.
        digest: Of the model's folder.
        dim: Width of the embeddings.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``auto`` (CUDA where there is one).
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Callable[[list[str]], torch.Tensor],
        preprocess: Callable[[Image.Image], torch.Tensor],
        *,
        digest: str,
        dim: int,
        device: str = "cpu",
    ) -> None:
        self.digest = digest
        self.dim = dim
        self.device = resolve_device(device)
        self.preprocess = preprocess
        self._tokenizer = tokenizer
        # Convolutions are faster with channels last, on CPU and GPU.
        self._model: Any = model.eval().to(self.device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode_images(self, images: torch.Tensor) -> Vectors:
        """Unit vectors ``float32[B, dim]`` of preprocessed images ``[B, 3, H, W]``."""
        if len(images) == 0:
            return np.zeros((0, self.dim), np.float32)
        batch = images.to(self.device, memory_format=torch.channels_last)
        return _to_numpy(self._model.encode_image(batch, normalize=True))

    def encode_pixels(self, images: Sequence[Image.Image]) -> Vectors:
        """Unit vectors ``float32[B, dim]`` of decoded images, preprocessed here."""
        if not images:
            return np.zeros((0, self.dim), np.float32)
        return self.encode_images(torch.stack([self.preprocess(image) for image in images]))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str], *, batch_size: int = _TEXT_BATCH) -> Vectors:
        """Unit vectors ``float32[N, dim]`` of texts, in batches."""
        parts = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), batch_size):
            batch = list(texts[start : start + batch_size])
            # Always a full batch: small ones take other matrix kernels, which round otherwise,
            # and a text's vector must not depend on the texts that it is encoded with.
            filled = batch + batch[:1] * (batch_size - len(batch))
            tokens = self._tokenizer(filled).to(self.device)
            vectors = _to_numpy(self._model.encode_text(tokens, normalize=True))
            parts.append(vectors[: len(batch)])
        return np.concatenate(parts)


def load_encoder(model: str, *, device: str = "cpu") -> ClipEncoder:
    """The encoder of a ``model`` manifest.

    Raises:
        InputError: The URI is not a model's, or its folder lacks a file.
        StorageError: A file is not what the manifest says.
    """
    manifest = read_manifest(model, "model")
    folder = local_folder(manifest.store, manifest.content["prefix"], manifest.digest)
    _check_files(manifest, folder)
    return _load(folder, manifest.digest, device)


def load_encoder_folder(folder: str | Path, *, device: str = "cpu") -> ClipEncoder:
    """The encoder of a folder in open_clip layout."""
    path = Path(folder)
    read_folder_config(path)  # a missing folder is told before it is hashed
    return _load(path, hash_folder(path), device)


def _load(folder: Path, digest: str, device: str) -> ClipEncoder:
    resolve_device(device)
    model: Any = load_model(folder)
    preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    dim = int(read_folder_config(folder)["model_cfg"]["embed_dim"])
    tokenizer = load_tokenizer(folder)
    return ClipEncoder(model, tokenizer, preprocess, digest=digest, dim=dim, device=device)


def _check_files(manifest: Manifest, folder: Path) -> None:
    for name, expected in manifest.content.get("files", {}).items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"model {manifest.uri}: {path} is missing; import the model again")
        if hash_file(path) != expected:
            raise StorageError(f"model {manifest.uri}: {path} is not what was stored")


def _to_numpy(vectors: torch.Tensor) -> Vectors:
    result: Vectors = vectors.float().cpu().numpy()
    return result
