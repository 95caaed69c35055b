"""A model from elsewhere, by name, hub id or folder, becomes an input with a version.

A name can move; what a run depends on must not. So exact weights, tokenizer and preprocessing are
copied into the store once, and everything after works with their digest.
"""

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip

from openmofi.errors import InputError
from openmofi.keys import hash_file, hash_json
from openmofi.models.backbones import TEXT_FILES, export_folder
from openmofi.models.folder import (
    CONFIG_FILE,
    HERE,
    TEXT_CONFIG_FILE,
    find_weights,
    has_transformers_text,
    holds_text_tower,
    load_model,
    load_tokenizer,
    read_folder_config,
)
from openmofi.models.publishing import publish_model
from openmofi.progress import say
from openmofi.storage import Store, open_store
from openmofi.versions import read_manifest

IMPORT_VERSION = 1  # raised when the same source gives another folder

_HUB = "hf-hub:"
_WITHOUT_NETWORK = "without network, give a local folder in open_clip layout as source"


@dataclass(frozen=True)
class _Loaded:
    """A model that open_clip has loaded, and what its folder will hold."""

    model: Any
    model_config: dict[str, Any]
    text_files: Path | None  # where config.json and tokenizer files lie


def import_model(root: str, *, source: str, pretrained: str = "") -> str:
    """Copy a model into the store and return the URI of its ``model`` manifest.

    The model is loaded on the way, so what is stored is known to load. Pickled weights are read
    with ``weights_only`` and stored as safetensors. A text tower from a folder is mended so that
    the copy loads from wherever it is mounted.

    Args:
        root: The store.
        source: An open_clip architecture name, ``hf-hub:org/name``, a local folder in open_clip
            layout, or the URI of a ``model`` manifest, which is returned as it is.
        pretrained: With an architecture name: open_clip's tag, or a local weights file.

    Raises:
        InputError: The source is unknown, incomplete, damaged or out of reach.
    """
    if "/manifests/" in source:
        return read_manifest(source, "model").uri
    store = open_store(root)
    folder = _as_folder(source)
    recipe = hash_json(["import_model", IMPORT_VERSION, *_fingerprint(source, folder, pretrained)])
    found = _find_import(store, recipe)
    if found:
        say(f"import_model: reused the import of {source}")
        return found
    with tempfile.TemporaryDirectory(prefix="openmofi-model-") as scratch:
        loaded = _load(source, folder, pretrained, Path(scratch, "text"))
        target = Path(scratch, "model")
        preprocess = _plain(loaded.model.visual.preprocess_cfg)
        export_folder(
            loaded.model, loaded.model_config, preprocess, target, text_files=loaded.text_files
        )
        origin = {"source": source, "pretrained": pretrained, "open_clip": open_clip.__version__}
        uri = publish_model(store, target, origin=origin)
    # After the manifest, so that a record that is there names a model that is whole.
    store.put(_record_key(recipe), json.dumps({"manifest": Path(uri).name}).encode())
    say(f"import_model: {source} is stored as {Path(uri).stem}")
    return uri


def _load(source: str, folder: Path | None, pretrained: str, text_files: Path) -> _Loaded:
    if folder is not None:
        return _from_folder(folder)
    if source.startswith(_HUB):
        return _from_hub(source, text_files)
    return _from_name(source, pretrained, text_files)


def _record_key(recipe: str) -> str:
    return f"model_imports/{recipe}.json"


def _find_import(store: Store, recipe: str) -> str:
    key = _record_key(recipe)
    if not store.exists(key):
        return ""
    manifest = f"manifests/model/{json.loads(store.get(key))['manifest']}"
    return f"{store.uri}/{manifest}" if store.exists(manifest) else ""


def _as_folder(source: str) -> Path | None:
    """The local folder that a source names, or ``None`` for a name or hub id."""
    if source.startswith(_HUB):
        return None
    path = Path(source.removeprefix("file://").removeprefix("local-dir:")).expanduser()
    is_path = "/" in source or source.startswith(("local-dir:", ".", "~"))
    if is_path and not path.is_dir():
        raise InputError(
            f"model folder not found: {path} (a hub id is written hf-hub:org/name, an open_clip "
            "architecture by its bare name)"
        )
    return path if is_path or (path.is_dir() and source not in open_clip.list_models()) else None


def _fingerprint(source: str, folder: Path | None, pretrained: str) -> list[Any]:
    """What the import is made from: a folder's content wherever it lies, or a fixed name."""
    if folder is None:
        return [source, hash_file(Path(pretrained)) if _is_file(pretrained) else pretrained]
    if pretrained:
        raise InputError(f"pretrained {pretrained!r} has no meaning beside the folder {folder}")
    read_folder_config(folder)
    used = {find_weights(folder).name, CONFIG_FILE, *TEXT_FILES}
    return [[name, hash_file(folder / name)] for name in sorted(used) if _is_file(folder / name)]


def _is_file(path: str | Path) -> bool:
    return bool(path) and Path(path).is_file()


def _from_folder(folder: Path) -> _Loaded:
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
    return _Loaded(model, config, folder)


def _check_tokenizer(folder: Path) -> None:
    try:
        load_tokenizer(folder)(["a"])
    except Exception as error:  # transformers raises many kinds
        raise InputError(
            f"model folder {folder}: its tokenizer does not load ({_first_line(error)}); "
            "tokenizer.json and tokenizer_config.json are needed"
        ) from error


def _from_hub(source: str, text_files: Path) -> _Loaded:
    with _fetching(f"model {source!r}"):
        model = open_clip.create_model(
            source, pretrained_text=False, require_pretrained=True, weights_only=True
        )
        config = open_clip.get_model_config(source)
        _save_text_files(model, config, open_clip.get_tokenizer(source), text_files)
    return _Loaded(model, config, text_files)


def _from_name(source: str, pretrained: str, text_files: Path) -> _Loaded:
    if source not in open_clip.list_models():
        raise InputError(
            f"model {source!r} is not an open_clip architecture, a folder or hf-hub:org/name"
        )
    tags = open_clip.list_pretrained_tags_by_model(source)
    if pretrained not in tags and not _is_file(pretrained):
        given = f"no weights named {pretrained!r}" if pretrained else "no pretrained tag"
        known = ", ".join(tags) or "none"
        raise InputError(f"model {source!r}: {given}; known tags: {known}; or give a weights file")
    config = open_clip.get_model_config(source)
    tag = open_clip.get_pretrained_cfg(source, pretrained) or {}
    # The activation that the weights were trained with; open_clip only warns when they differ.
    if tag.get("quick_gelu"):
        config["quick_gelu"] = True
    with _fetching(f"model {source!r} with pretrained {pretrained!r}"):
        model = open_clip.create_model(
            source,
            pretrained=pretrained,
            force_quick_gelu=bool(tag.get("quick_gelu")),
            pretrained_text=False,
            require_pretrained=True,
            weights_only=True,
        )
        _save_text_files(model, config, open_clip.get_tokenizer(source), text_files)
    return _Loaded(model, config, text_files)


@contextlib.contextmanager
def _fetching(what: str) -> Iterator[None]:
    """One line when it starts and one when it fails, in place of every retry's warnings."""
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


def _plain(preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values: tuples as lists, a square size as one number."""
    plain: dict[str, Any] = json.loads(json.dumps(preprocess))
    size = plain["size"]
    if isinstance(size, list) and len(set(size)) == 1:
        plain["size"] = size[0]
    return plain


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:240]
