"""A dual encoder of transformers, from a hub or a folder, written anew for the store."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from openmofi.errors import InputError
from openmofi.models.folder import CONFIG_FILE, HUB
from openmofi.models.loading import fetching
from openmofi.models.preprocessing import Preprocess, normalized
from openmofi.models.transformers_files import CONFIG, WEIGHTS, quiet_transformers
from openmofi.models.transformers_folder import (
    PICKLES,
    SAFETENSORS,
    SMALL_FILES,
    TOKENIZER_FILES,
)
from openmofi.models.transformers_model import DualEncoder, load_dual_encoder

_PROBES = ((37, 53), (64, 64), (601, 400))  # height, width: odd, even, larger than most inputs
_CLOSE = 1e-5  # of 1: what another order of the same sums may cost


def fetch_from_hub(source: str) -> Path | None:
    """The files of ``hf-hub:org/name``, of one commit; ``None`` if it is in open_clip's layout.

    Raises:
        InputError: The repository is unknown or out of reach.
    """
    from huggingface_hub import snapshot_download

    name = source.removeprefix(HUB)
    with fetching(f"the layout of model {source!r}"):
        if _holds_open_clip(name):
            return None
    with fetching(f"model {source!r}"):
        folder = Path(snapshot_download(name, allow_patterns=[*SMALL_FILES, *SAFETENSORS]))
        if not any(folder.glob("*.safetensors")):
            snapshot_download(name, allow_patterns=list(PICKLES), revision=folder.name)
    return folder


def _holds_open_clip(name: str) -> bool:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        hf_hub_download(name, CONFIG_FILE)
    except LocalEntryNotFoundError:
        # Out of reach is not absent; but who is offline on purpose has only what the cache holds.
        if not constants.HF_HUB_OFFLINE:
            raise
        return False
    except EntryNotFoundError:
        return False
    return True


def export_dual_encoder(folder: Path, target: Path) -> None:
    """Write what the store keeps of a folder in transformers' layout, and try the copy.

    ``config.json``, ``preprocessor_config.json`` with all defaults filled in, the tokenizer's
    files as they are, and one ``model.safetensors`` in float32. The same model gives the same
    bytes.

    Raises:
        InputError: It is no dual encoder, a file is missing or damaged, or its images, texts or
            vectors are of a kind that is not known here.
    """
    source = load_dual_encoder(folder)
    _check_preprocess(folder, source)
    target.mkdir(parents=True)
    with quiet_transformers():
        source.model.inner.save_pretrained(target, max_shard_size="1000GB")
        source.processor.save_pretrained(target)
    for name in TOKENIZER_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    _forget_version(target / CONFIG)
    (target / WEIGHTS[0]).chmod(0o644)  # safetensors leaves it readable by its owner only
    _check_vectors(folder, source, load_dual_encoder(target))


def _check_preprocess(folder: Path, source: DualEncoder) -> None:
    """Refuse an image processor that does more than resize, crop and normalise."""
    for height, width in _PROBES:
        image = _picture(height, width)
        expected = source.processor(image, return_tensors="pt")["pixel_values"]
        found = _input(source.preprocess, image)
        scale = max(1.0, expected.abs().max().item())
        if expected.shape != found.shape or (found - expected).abs().max() > _CLOSE * scale:
            kind = type(source.processor).__name__
            raise InputError(
                f"model folder {folder}: its {kind} does more than resize, crop and normalise; "
                "such a model cannot be used"
            )


@torch.inference_mode()
def _check_vectors(folder: Path, source: DualEncoder, copy: DualEncoder) -> None:
    """Refuse what gives no vectors of one width, and a copy that gives others than its source."""
    image = _input(source.preprocess, _picture(64, 64))
    # Longer than any context, so that a tower that takes less than it tells fails here.
    texts = ["a photo of a bird", "bird " * 1000]
    try:
        vectors, again = (
            (each.model.encode_image(image), each.model.encode_text(each.tokenizer(texts)))
            for each in (source, copy)
        )
    except Exception as error:  # whatever a tower raises on an input that is not its own
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
        raise InputError(f"model folder {folder} encodes nothing ({problem})") from error
    shapes = [tuple(each.shape) for each in vectors]
    if shapes != [(1, source.dim), (2, source.dim)]:
        raise InputError(
            f"model folder {folder}: vectors of an image and two texts are of shape {shapes}; "
            f"those of a dual encoder are one and two rows of {source.dim}"
        )
    for one, other in zip(vectors, again, strict=True):
        if not torch.allclose(one, other, rtol=_CLOSE, atol=_CLOSE):
            raise InputError(
                f"model folder {folder} is not itself after transformers has saved it; "
                "such a model cannot be stored"
            )


def _input(preprocess: Preprocess, image: Image.Image) -> torch.Tensor:
    return normalized(torch.from_numpy(preprocess.pixels(image))[None], preprocess)


def _picture(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def _forget_version(path: Path) -> None:
    """A digest is of the model, and not of the transformers that wrote it."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
