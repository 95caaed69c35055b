"""A model from a folder, a hub id or a name, loaded by open_clip, for import."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip

from openmofi.errors import InputError
from openmofi.models.folder import (
    HERE,
    HUB,
    TEXT_CONFIG_FILE,
    has_transformers_text,
    holds_text_tower,
    is_file,
    load_model,
    load_tokenizer,
    read_folder_config,
)
from openmofi.progress import say

_WITHOUT_NETWORK = "without network, give a local folder as source"


@dataclass(frozen=True)
class Loaded:
    """A model that open_clip has loaded, and what its folder will hold."""

    model: Any
    model_config: dict[str, Any]
    text_files: Path | None  # where config.json and tokenizer files lie


def load_source(source: str, folder: Path | None, pretrained: str, text_files: Path) -> Loaded:
    """Load a model.

    Args:
        source: See `openmofi.models.importing.import_model`.
        folder: The source as a folder, if it is one.
        pretrained: Tag or weights file, for an open_clip name.
        text_files: Where the files of a text tower from transformers go.

    Raises:
        InputError: The source is unknown, incomplete, damaged or out of reach.
    """
    if folder is not None:
        return _from_folder(folder)
    if source.startswith(HUB):
        return _from_hub(source, text_files)
    return _from_name(source, pretrained, text_files)


def _from_folder(folder: Path) -> Loaded:
    config = read_folder_config(folder)["model_cfg"]
    text = config["text_cfg"]
    needs_tokenizer = "hf_tokenizer_name" in text
    if has_transformers_text(config) and not holds_text_tower(folder):
        named = text["hf_model_name"]
        if named == HERE or Path(named).is_absolute():
            raise InputError(f"model folder {folder} lacks its text tower's {TEXT_CONFIG_FILE}")
    model = load_model(folder)
    if needs_tokenizer or has_transformers_text(config):
        _check_tokenizer(folder)
    return Loaded(model, config, folder)


def _check_tokenizer(folder: Path) -> None:
    try:
        load_tokenizer(folder)(["a"])
    except Exception as error:  # transformers raises many kinds
        raise InputError(
            f"model folder {folder}: its tokenizer does not load ({_first_line(error)}); "
            "tokenizer.json and tokenizer_config.json are needed"
        ) from error


def _from_hub(source: str, text_files: Path) -> Loaded:
    with fetching(f"model {source!r}"):
        model = open_clip.create_model(
            source, pretrained_text=False, require_pretrained=True, weights_only=True
        )
        config = open_clip.get_model_config(source)
        _save_text_files(model, config, open_clip.get_tokenizer(source), text_files)
    return Loaded(model, config, text_files)


def _from_name(source: str, pretrained: str, text_files: Path) -> Loaded:
    if source not in open_clip.list_models():
        raise InputError(
            f"model {source!r} is not an open_clip architecture, a folder or hf-hub:org/name"
        )
    tags = open_clip.list_pretrained_tags_by_model(source)
    if pretrained not in tags and not is_file(pretrained):
        given = f"no weights named {pretrained!r}" if pretrained else "no pretrained tag"
        known = ", ".join(tags) or "none"
        raise InputError(f"model {source!r}: {given}; known tags: {known}; or give a weights file")
    config = open_clip.get_model_config(source)
    tag = open_clip.get_pretrained_cfg(source, pretrained) or {}
    # The activation that the weights were trained with; open_clip only warns when they differ.
    if tag.get("quick_gelu"):
        config["quick_gelu"] = True
    with fetching(f"model {source!r} with pretrained {pretrained!r}"):
        model = open_clip.create_model(
            source,
            pretrained=pretrained,
            force_quick_gelu=bool(tag.get("quick_gelu")),
            pretrained_text=False,
            require_pretrained=True,
            weights_only=True,
        )
        _save_text_files(model, config, open_clip.get_tokenizer(source), text_files)
    return Loaded(model, config, text_files)


@contextlib.contextmanager
def fetching(what: str) -> Iterator[None]:
    """One line when it starts and one when it fails, in place of every retry's warnings.

    Raises:
        InputError: Anything went wrong within.
    """
    say(f"import_model: fetching {what}")
    logging.disable(logging.ERROR)
    try:
        yield
    except Exception as error:  # network, hub and pickle errors have no common kind
        raise InputError(
            f"{what} cannot be had ({_first_line(error)}); {_WITHOUT_NETWORK}"
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _save_text_files(
    model: Any, config: Mapping[str, Any], tokenizer: Any, text_files: Path
) -> None:
    """Write what transformers needs to make the tokenizer and the text tower again."""
    text_files.mkdir(parents=True, exist_ok=True)
    if "hf_tokenizer_name" in config["text_cfg"]:
        tokenizer.save_pretrained(text_files)
    if "hf_model_name" in config["text_cfg"]:
        model.text.config.save_pretrained(text_files)


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:240]
