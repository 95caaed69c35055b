"""Backbones for training: built from a config, exported as a model folder."""

import difflib
import json
import shutil
from collections.abc import Mapping
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from safetensors.torch import save_file

from openmofi.errors import InputError
from openmofi.models.folder import (
    CONFIG_FILE,
    HERE,
    TEXT_FILES,
    WEIGHTS_FILE,
    has_transformers_text,
    load_model,
    load_tokenizer,
    read_folder_config,
    read_json_object,
)

__all__ = [
    "create_backbone",
    "create_tokenizer",
    "export_folder",
    "load_model",
    "load_tokenizer",
    "read_backbone_config",
]


def read_backbone_config(config: Mapping[str, Any] | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Resolve a backbone's name to its ``model_config`` and ``preprocess_config``.

    Args:
        config: A model config (open_clip's JSON as a mapping), or the path of such a JSON file, or
            the name of one that this package brings (``tiny``), or a name that open_clip knows.
            A mapping or file may also be ``{"model_cfg": …, "preprocess_cfg": …}``.

    Returns:
        Fresh copies. The preprocessing is complete: size, mean, std, interpolation, resize_mode.

    Raises:
        InputError: No such name or file, or not a model config.
    """
    data = dict(config) if not isinstance(config, str) else _find_config(config)
    model = deepcopy(data.get("model_cfg", data))
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        name = config if isinstance(config, str) else "given"
        raise InputError(f"backbone config {name!r} needs embed_dim, vision_cfg and text_cfg")
    preprocess = merge_preprocess_dict(PreprocessCfg(), data.get("preprocess_cfg") or {})
    preprocess["size"] = model["vision_cfg"].get("image_size", 224)
    return model, preprocess


def create_backbone(config: Mapping[str, Any] | str, *, seed: int | None = None) -> torch.nn.Module:
    """Build an open_clip model from scratch, with random weights.

    Args:
        config: See `read_backbone_config`.
        seed: Of the initial weights; the global generator is left as it was. ``None`` draws from
            the global generator.

    Returns:
        A ``CLIP`` or ``CustomTextCLIP``: ``encode_image(x, normalize=)``, ``encode_text(tokens,
        normalize=)``, ``logit_scale``. It is in training mode.

    Raises:
        InputError: See `read_backbone_config`; or open_clip cannot build it.
    """
    model_config, preprocess = read_backbone_config(config)
    if "multimodal_cfg" in model_config:
        raise InputError("a backbone with 'multimodal_cfg' (CoCa) cannot be trained here")
    custom = model_config.pop("custom_text", False) or has_transformers_text(model_config)
    if has_transformers_text(model_config):
        model_config["text_cfg"]["hf_model_pretrained"] = False
    model_config["vision_cfg"].pop("timm_model_pretrained", None)
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            model: torch.nn.Module = kind(**model_config)
        except (RuntimeError, OSError, TypeError, KeyError, AssertionError) as error:
            problem = " ".join(str(error).split())[:300]
            raise InputError(f"backbone config cannot be built: {problem}") from error
    set_model_preprocess_cfg(model, preprocess)
    return model.train()


def create_tokenizer(config: Mapping[str, Any] | str) -> Any:
    """The tokenizer of a backbone with open_clip's own text tower.

    A warm start from a model folder takes `load_tokenizer` instead.
    """
    model_config, _ = read_backbone_config(config)
    text = model_config["text_cfg"]
    if "hf_tokenizer_name" in text:
        raise InputError("this backbone's tokenizer lies in a model folder: import the model first")
    return open_clip.SimpleTokenizer(
        context_length=text.get("context_length", 77), **text.get("tokenizer_kwargs", {})
    )


def export_folder(
    model: torch.nn.Module,
    model_config: Mapping[str, Any],
    preprocess_config: Mapping[str, Any],
    folder: Path,
    *,
    text_files: Path | None = None,
) -> None:
    """Write a folder that ``open_clip.create_model_and_transforms("local-dir:FOLDER")`` loads.

    The same weights and configs give the same bytes.

    Args:
        model: An open_clip model.
        model_config: Its config, as `read_backbone_config` gives it.
        preprocess_config: The same for its preprocessing.
        folder: Made if missing.
        text_files: Where a text tower from transformers has its ``config.json`` and tokenizer
            files; needed for such a tower or tokenizer only. Such an export loads through
            `openmofi.models.encoder.load_encoder_folder`, or through open_clip when the folder is
            the working directory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settled = deepcopy(dict(model_config))
    settled["vision_cfg"] = _without_pretrained(settled["vision_cfg"], "timm_model_pretrained")
    text = settled["text_cfg"]
    if "hf_model_name" in text or "hf_tokenizer_name" in text:
        if text_files is None:
            raise ValueError("text_files is needed for a text tower or tokenizer of transformers")
        _copy_text_files(text_files, folder)
        text["hf_tokenizer_name"] = HERE
    if "hf_model_name" in text:
        text |= {"hf_model_name": HERE, "hf_model_pretrained": False}
    config = {"model_cfg": settled, "preprocess_cfg": dict(preprocess_config)}
    body = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(body, encoding="utf-8")
    _save_weights(model, folder / WEIGHTS_FILE)


def _save_weights(model: torch.nn.Module, path: Path) -> None:
    # Clones: safetensors refuses tensors that share memory.
    weights = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    save_file(weights, path)
    path.chmod(0o644)  # safetensors leaves it readable by its owner only


def _without_pretrained(tower: dict[str, Any], key: str) -> dict[str, Any]:
    return {**tower, key: False} if key in tower or "timm_model_name" in tower else tower


def _copy_text_files(source: Path, folder: Path) -> None:
    for name in TEXT_FILES:
        path = source / name
        if path.is_file() and path.resolve() != (folder / name).resolve():
            shutil.copyfile(path, folder / name)


def _find_config(name: str) -> dict[str, Any]:
    if name.endswith(".json"):
        return read_json_object(Path(name))
    bundled = {
        entry.name.removesuffix(".json"): entry
        for entry in (resources.files("openmofi.models") / "configs").iterdir()
        if entry.name.endswith(".json")
    }
    if name in bundled:
        found: dict[str, Any] = json.loads(bundled[name].read_text(encoding="utf-8"))
        return found
    if Path(name).is_dir():
        return read_folder_config(Path(name))
    known = open_clip.get_model_config(name) if ":" not in name else None
    if known is not None:
        return dict(known)
    near = difflib.get_close_matches(name, [*bundled, *open_clip.list_models()], n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"bundled: {', '.join(sorted(bundled))}"
    raise InputError(
        f"backbone {name!r} is neither a JSON file nor a name that open_clip knows; {hint}"
    )
