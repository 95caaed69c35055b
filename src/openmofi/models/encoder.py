"""Images and texts to unit vectors, by any model folder."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from openmofi.errors import InputError, StorageError
from openmofi.keys import hash_file, hash_folder
from openmofi.models.device import check_compiler, resolve_device, resolve_precision
from openmofi.models.folder import load_model, load_tokenizer, read_folder_config
from openmofi.models.preprocessing import Preprocess, normalized
from openmofi.models.stored import model_folder
from openmofi.models.transformers_folder import TRANSFORMERS, find_layout
from openmofi.versions import Manifest, read_manifest

Vectors = npt.NDArray[np.float32]

_TEXT_BATCH = 64


class ClipEncoder:
    """A dual encoder, in eval mode and without gradients, always.

    Args:
        model: An open_clip model, or what has its ``encode_image`` and ``encode_text``.
        tokenizer: ``list[str]`` to what ``encode_text`` takes.
        preprocess: PIL image to the bytes that `encode_pixels` takes.
        digest: Of the model's folder.
        dim: Width of the embeddings.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``auto`` (CUDA where there is one).
        precision: Of the towers: ``float32``, ``bfloat16`` (by autocast) or ``auto`` (bfloat16 on
            CUDA). Weights and vectors are float32 in any case.
        compiled: Compile the image tower, at its first batch, for batches of that shape.

    Raises:
        InputError: The device is missing, the precision is unknown.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Callable[[list[str]], Any],
        preprocess: Preprocess,
        *,
        digest: str,
        dim: int,
        device: str = "cpu",
        precision: str = "auto",
        compiled: bool = False,
    ) -> None:
        self.digest = digest
        self.dim = dim
        self.device = resolve_device(device)
        self.preprocess = preprocess
        self._precision = resolve_precision(precision, self.device)
        self._tokenizer = tokenizer
        # Convolutions are faster with channels last, on CPU and GPU.
        self._model: Any = model.eval().to(self.device).to(memory_format=torch.channels_last)
        tower = cast("Callable[[torch.Tensor], torch.Tensor]", self._model.encode_image)
        self._encode_image = torch.compile(tower, dynamic=False) if compiled else tower

    @property
    def logit_scale(self) -> float | None:
        """What the model was trained to multiply cosines by; ``None`` if it has no such number."""
        logarithm = getattr(self._model, "logit_scale", None)
        return None if logarithm is None else float(logarithm.detach().exp().reshape(-1)[0])

    @torch.inference_mode()
    def launch(self, pixels: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        """`encode_pixels` without waiting for the device, where the vectors stay.

        Args:
            pixels: ``uint8[B, height, width, 3]``, as ``preprocess.pixels`` gives them.
        """
        batch = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(pixels)
        if len(batch) == 0:
            return torch.zeros((0, self.dim), device=self.device)
        if self.device.startswith("cuda") and not batch.is_cuda:
            batch = batch.pin_memory()  # from other memory, a copy waits
        batch = batch.to(self.device, non_blocking=True)
        with self._autocast():
            features = self._encode_image(normalized(batch, self.preprocess))
        return torch.nn.functional.normalize(features.float(), dim=-1)

    def encode_pixels(self, pixels: npt.NDArray[np.uint8] | torch.Tensor) -> Vectors:
        """Unit vectors ``float32[B, dim]`` of ``uint8[B, height, width, 3]``."""
        return _to_numpy(self.launch(pixels))

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Unit vectors ``float32[B, dim]`` of decoded images, preprocessed here."""
        if not images:
            return np.zeros((0, self.dim), np.float32)
        return self.encode_pixels(np.stack([self.preprocess.pixels(image) for image in images]))

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
            with self._autocast():
                features = self._model.encode_text(tokens)
            vectors = _to_numpy(torch.nn.functional.normalize(features.float(), dim=-1))
            parts.append(vectors[: len(batch)])
        return np.concatenate(parts)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)


def load_encoder(
    model: str, *, device: str = "cpu", precision: str = "auto", compiled: bool = False
) -> ClipEncoder:
    """The encoder of a ``model`` manifest.

    Args:
        model: The manifest's URI.
        device: See `ClipEncoder`.
        precision: See `ClipEncoder`.
        compiled: See `ClipEncoder`.

    Raises:
        InputError: The URI is not a model's, its folder lacks a file, there is nothing to compile
            with; or see `ClipEncoder`.
        StorageError: A file is not what the manifest says.
    """
    _check(device, precision, compiled)
    manifest = read_manifest(model, "model")
    folder = model_folder(manifest)
    _check_files(manifest, folder)
    return _load(folder, manifest.digest, device, precision, compiled)


def load_encoder_folder(
    folder: str | Path, *, device: str = "cpu", precision: str = "auto", compiled: bool = False
) -> ClipEncoder:
    """The encoder of a model folder; see `load_encoder`."""
    _check(device, precision, compiled)
    path = Path(folder)
    find_layout(path)  # a missing folder is told before it is hashed
    return _load(path, hash_folder(path), device, precision, compiled)


def _check(device: str, precision: str, compiled: bool) -> None:
    """Tell what is wrong before gigabytes are read."""
    resolved = resolve_device(device)
    resolve_precision(precision, resolved)
    if compiled:
        check_compiler(resolved)


def _load(folder: Path, digest: str, device: str, precision: str, compiled: bool) -> ClipEncoder:
    model: Any
    tokenizer: Callable[[list[str]], Any]
    if find_layout(folder) == TRANSFORMERS:
        # Here, not above: seconds of imports, which an open_clip model does not need.
        from openmofi.models.transformers_model import load_dual_encoder

        loaded = load_dual_encoder(folder)
        model, tokenizer = loaded.model, loaded.tokenizer
        preprocess, dim = loaded.preprocess, loaded.dim
    else:
        model, tokenizer = load_model(folder), load_tokenizer(folder)
        preprocess = Preprocess.from_open_clip(model.visual.preprocess_cfg)
        dim = int(read_folder_config(folder)["model_cfg"]["embed_dim"])
    return ClipEncoder(
        model,
        tokenizer,
        preprocess,
        digest=digest,
        dim=dim,
        device=device,
        precision=precision,
        compiled=compiled,
    )


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
