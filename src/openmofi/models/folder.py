"""A model as a folder: open_clip's ``local-dir`` layout, loadable from wherever it is mounted.

``open_clip_config.json``, ``open_clip_model.safetensors`` and, for a text tower from transformers,
its ``config.json`` and tokenizer files. open_clip hands ``hf_model_name`` to transformers as it
stands, so a folder that names itself by an absolute path breaks when it is moved. Ours name
themselves by `HERE`, and the loader says where that is.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmofi.errors import InputError

if TYPE_CHECKING:
    import torch

HUB = "hf-hub:"  # how a hub id begins

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
TEXT_CONFIG_FILE = "config.json"
# What transformers reads beside its config.json to make a tokenizer.
TEXT_FILES = (
    TEXT_CONFIG_FILE,
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
HERE = "."  # as hf_model_name: the folder that the config lies in

# In open_clip's order of preference.
_WEIGHT_FILES = (
    WEIGHTS_FILE,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)


def is_file(path: str | Path) -> bool:
    """Whether a path, which may be empty, is a file."""
    return bool(path) and Path(path).is_file()


def read_folder_config(folder: Path) -> dict[str, Any]:
    """``{"model_cfg": …, "preprocess_cfg": …}`` of a model folder.

    Raises:
        InputError: The folder or its config is missing, or the config is not open_clip's.
    """
    if not folder.is_dir():
        raise InputError(f"model folder not found: {folder}")
    path = folder / CONFIG_FILE
    if not path.is_file():
        other = " (it is in transformers' layout)" if (folder / TEXT_CONFIG_FILE).is_file() else ""
        raise InputError(
            f"model folder {folder} lacks {CONFIG_FILE}{other}; open_clip's layout is needed here"
        )
    config = read_json_object(path)
    model = config.get("model_cfg")
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        raise InputError(f"{path}: 'model_cfg' with embed_dim, vision_cfg and text_cfg is missing")
    return {"model_cfg": model, "preprocess_cfg": config.get("preprocess_cfg") or {}}


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file, or an `InputError` that names the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable JSON: {_one_line(error)}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold a JSON object, not a {type(value).__name__}")
    return value


def has_transformers_text(model_config: dict[str, Any]) -> bool:
    """Whether the text tower comes from transformers, so that the folder must hold its files."""
    return "hf_model_name" in model_config["text_cfg"]


def find_weights(folder: Path) -> Path:
    """The weights file that open_clip would pick among its known names.

    Raises:
        InputError: There is none.
    """
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"model folder {folder} lacks weights: {WEIGHTS_FILE} (or open_clip_pytorch_model.bin) "
        "is needed"
    )


def load_model(folder: Path) -> "torch.nn.Module":
    """The open_clip model of a folder, on the CPU, in eval mode, weights loaded strictly.

    ``model.visual.preprocess_cfg`` holds its full preprocessing. Pickled weights are read with
    ``weights_only``.

    Raises:
        InputError: A file is missing or damaged, or the weights do not fit the config.
    """
    import open_clip

    config = read_folder_config(folder)
    weights = find_weights(folder)
    overrides = {}
    if has_transformers_text(config["model_cfg"]):
        overrides["text_cfg"] = _text_config_at(folder, config["model_cfg"]["text_cfg"])
    try:
        model: torch.nn.Module = open_clip.create_model(
            f"local-dir:{folder}",
            pretrained_text=False,
            require_pretrained=True,
            weights_only=True,
            **overrides,
        )
    except Exception as error:  # pickle, safetensors, timm and transformers have their own kinds
        problem = f"{type(error).__name__}: {_one_line(error)}"
        raise InputError(f"model {weights} does not load: {problem}") from error
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer: ``list[str]`` to ``int64[B, context_length]``.

    Raises:
        InputError: See `read_folder_config`.
    """
    import open_clip

    read_folder_config(folder)
    return open_clip.get_tokenizer(f"local-dir:{folder}")


def _text_config_at(folder: Path, text_config: dict[str, Any]) -> dict[str, Any]:
    """The text tower's config with the address of its files as it is now."""
    moved = deepcopy(text_config)
    if holds_text_tower(folder):
        moved["hf_model_name"] = str(folder.absolute())
    elif moved["hf_model_name"] == HERE:
        raise InputError(f"model folder {folder} lacks its text tower's {TEXT_CONFIG_FILE}")
    moved["hf_model_pretrained"] = False
    return moved


def holds_text_tower(folder: Path) -> bool:
    """Whether ``config.json`` there describes a text tower that open_clip can build.

    Hub folders may hold a ``config.json`` of the whole model beside it; that one does not count.
    """
    from open_clip.hf_configs import arch_dict

    path = folder / TEXT_CONFIG_FILE
    return path.is_file() and read_json_object(path).get("model_type") in arch_dict


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
