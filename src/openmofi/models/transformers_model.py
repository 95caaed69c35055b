"""A dual encoder of transformers (CLIP, SigLIP and their kind) as open_clip's are: one interface.

What counts as one is decided by its methods, ``get_image_features`` and ``get_text_features``.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from openmofi.errors import InputError
from openmofi.models.preprocessing import Preprocess
from openmofi.models.transformers_files import quiet_transformers
from openmofi.models.transformers_folder import check_files, find_weights

_USUAL_LENGTH = 512  # tokens of a text tower that tells no limit


@dataclass(frozen=True)
class DualEncoder:
    """The parts of a model folder, loaded."""

    model: "ImageTextModel"  # float32, on the CPU, in eval mode
    tokenizer: Callable[[list[str]], Any]  # to what the model's encode_text takes
    processor: Any  # transformers' image processor in its PIL form
    preprocess: Preprocess
    dim: int


class ImageTextModel(torch.nn.Module):
    """The methods of open_clip's models, over those of transformers'."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    @property
    def logit_scale(self) -> torch.Tensor | None:
        """The logarithm of what cosines were multiplied by in training, if it has one."""
        scale: torch.Tensor | None = getattr(self.inner, "logit_scale", None)
        return scale

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Vectors ``[B, dim]``, of any length, of normalised images ``[B, 3, H, W]``."""
        return _vectors(self.inner.get_image_features(pixel_values=images))

    def encode_text(self, tokens: Mapping[str, Any]) -> torch.Tensor:
        """Vectors ``[B, dim]``, of any length, of what the tokenizer gives."""
        return _vectors(self.inner.get_text_features(**tokens))


def load_dual_encoder(folder: Path) -> DualEncoder:
    """Load a folder in transformers' layout. Code that it brings is never run.

    Raises:
        InputError: It is no dual encoder, or a file is missing or damaged.
    """
    config = read_config(folder)
    check_files(folder)
    processor, preprocess = read_processor(folder)
    with _loading(folder, "its tokenizer"):
        tokenizer = _from_pretrained("AutoTokenizer", folder)
    with _loading(folder, find_weights(folder)[0].name):
        model, report = _from_pretrained(
            "AutoModel", folder, dtype=torch.float32, output_loading_info=True
        )
    # transformers fills what is missing with random numbers and goes on.
    if report["missing_keys"]:
        raise InputError(
            f"model folder {folder}: its weights lack {min(report['missing_keys'])}; they are not "
            "those of its config"
        )
    return DualEncoder(
        model=ImageTextModel(model).eval(),
        tokenizer=functools.partial(
            tokenizer,
            padding="max_length",
            truncation=True,
            max_length=_context(config, tokenizer, model),
            return_tensors="pt",
        ),
        processor=processor,
        preprocess=preprocess,
        dim=embedding_width(config),
    )


def read_config(folder: Path) -> Any:
    """The config of a dual encoder.

    Raises:
        InputError: It does not load, or is another kind of model's.
    """
    from transformers import MODEL_MAPPING

    with _loading(folder, "its config.json"):
        config = _from_pretrained("AutoConfig", folder)
    kind = MODEL_MAPPING.get(type(config), None)
    if not (hasattr(kind, "get_image_features") and hasattr(kind, "get_text_features")):
        raise InputError(
            f"model folder {folder}: a {config.model_type} model has no image and text features; "
            "a dual encoder (CLIP, SigLIP) is needed, or open_clip_config.json"
        )
    return config


def read_processor(folder: Path) -> tuple[Any, Preprocess]:
    """The image processor, in the form that works on PIL images, as open_clip's do; and ours.

    Raises:
        InputError: It does not load, or gives images of no fixed size.
    """
    with _loading(folder, "its image processor"):
        processor = _from_pretrained("AutoImageProcessor", folder, backend="pil")
        return processor, Preprocess.from_transformers(processor.to_dict())


def embedding_width(config: Any) -> int:
    """Width of the vectors that a config promises."""
    text = config.get_text_config()
    width = getattr(config, "projection_dim", None) or getattr(text, "projection_size", None)
    return int(width or text.hidden_size)


def _context(config: Any, tokenizer: Any, model: Any) -> int:
    """Tokens that a text is padded and cut to: what the tower takes, or was trained with."""
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    text = config.get_text_config()
    # RoBERTa's places begin after that of the padding.
    unused = [
        module.padding_idx + 1
        for name, module in model.named_modules()
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None
    ]
    places = getattr(text, "max_position_embeddings", _USUAL_LENGTH) - max(unused, default=0)
    # ALIGN's processor alone knows that its texts have 64 tokens.
    processor = PROCESSOR_MAPPING.get(type(config), None)
    usual = getattr(processor, "text_kwargs", {}).get("max_length", places)
    return int(min(places, usual, tokenizer.model_max_length))


def _from_pretrained(kind: str, folder: Path, **options: Any) -> Any:
    import transformers

    return getattr(transformers, kind).from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False, **options
    )


@contextlib.contextmanager
def _loading(folder: Path, what: str) -> Iterator[None]:
    with quiet_transformers():
        try:
            yield
        except InputError as error:
            raise InputError(f"model folder {folder}: {error}") from None
        except Exception as error:  # pickle, safetensors and transformers have their own kinds
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
            raise InputError(f"model folder {folder}: {what} does not load ({problem})") from error


def _vectors(features: Any) -> torch.Tensor:
    # A tensor in older versions of transformers, an object with more in newer ones.
    vectors: torch.Tensor = (
        features if isinstance(features, torch.Tensor) else features.pooler_output
    )
    return vectors
