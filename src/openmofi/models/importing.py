"""A model from elsewhere, by name, hub id or folder, becomes an input with a version.

A name can move; what a run depends on must not. So exact weights, tokenizer and preprocessing are
copied into the store once, and everything after works with their digest.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmofi.errors import InputError
from openmofi.inputs import fetched, is_on_s3
from openmofi.keys import hash_file, hash_json
from openmofi.models.folder import (
    CONFIG_FILE,
    HUB,
    TEXT_FILES,
    find_weights,
    is_file,
    read_folder_config,
)
from openmofi.models.publishing import publish_model
from openmofi.models.transformers_folder import TRANSFORMERS, find_layout, used_files
from openmofi.progress import say
from openmofi.storage import Store, open_store
from openmofi.versions import read_manifest

IMPORT_VERSION = 1  # raised when the same source gives another folder


def import_model(root: str, *, source: str, pretrained: str = "") -> str:
    """Copy a model into the store and return the URI of its ``model`` manifest.

    The model is loaded on the way, so what is stored is known to load. Pickled weights are read
    with ``weights_only`` and stored as safetensors. A text tower from a folder is mended so that
    the copy loads from wherever it is mounted.

    Args:
        root: The store.
        source: An open_clip architecture name; ``hf-hub:org/name`` or a local folder, in
            open_clip's layout or of a dual encoder of transformers (CLIP, SigLIP, and what else
            has ``get_image_features`` and ``get_text_features``); or the URI of a ``model``
            manifest, which is returned as it is.
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
    uri = _bring(store, source, folder, pretrained)
    # After the manifest, so that a record that is there names a model that is whole.
    store.put(_record_key(recipe), json.dumps({"manifest": Path(uri).name}).encode())
    say(f"import_model: {source} is stored as {Path(uri).stem}")
    return uri


def _bring(store: Store, source: str, folder: Path | None, pretrained: str) -> str:
    """Load the source, write its folder anew and publish that."""
    with tempfile.TemporaryDirectory(prefix="openmofi-model-") as scratch:
        target = Path(scratch, "model")
        if source.startswith(HUB):
            # Seconds of imports, which a reused model does not need.
            from openmofi.models.transformers_import import fetch_from_hub

            folder = fetch_from_hub(source)
        if folder is not None and find_layout(folder) == TRANSFORMERS:
            library = _write_transformers(folder, target)
        else:
            library = _write_open_clip(source, folder, pretrained, target, Path(scratch, "text"))
        origin = {"source": source, "pretrained": pretrained, **library}
        return publish_model(store, target, origin=origin)


def _write_transformers(folder: Path, target: Path) -> dict[str, str]:
    """Write the model's folder; what wrote it, and its version."""
    import transformers

    from openmofi.models.transformers_import import export_dual_encoder

    export_dual_encoder(folder, target)
    return {"transformers": transformers.__version__}


def _write_open_clip(
    source: str, folder: Path | None, pretrained: str, target: Path, text_files: Path
) -> dict[str, str]:
    """Write the model's folder; what wrote it, and its version."""
    import open_clip

    from openmofi.models.backbones import export_folder
    from openmofi.models.loading import load_source

    loaded = load_source(source, folder, pretrained, text_files)
    preprocess = _plain(loaded.model.visual.preprocess_cfg)
    export_folder(
        loaded.model, loaded.model_config, preprocess, target, text_files=loaded.text_files
    )
    return {"open_clip": open_clip.__version__}


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
    if source.startswith(HUB):
        return None
    if is_on_s3(source):
        return fetched(source)
    path = Path(source.removeprefix("file://").removeprefix("local-dir:")).expanduser()
    is_path = "/" in source or source.startswith(("local-dir:", ".", "~"))
    if is_path and not path.is_dir():
        raise InputError(
            f"model folder not found: {path} (a hub id is written hf-hub:org/name, an open_clip "
            "architecture by its bare name)"
        )
    if is_path or not path.is_dir():
        return path if is_path else None
    import open_clip

    return None if source in open_clip.list_models() else path


def _fingerprint(source: str, folder: Path | None, pretrained: str) -> list[Any]:
    """What the import is made from: a folder's content wherever it lies, or a fixed name."""
    if folder is None:
        return [source, hash_file(Path(pretrained)) if is_file(pretrained) else pretrained]
    if pretrained:
        raise InputError(f"pretrained {pretrained!r} has no meaning beside the folder {folder}")
    if find_layout(folder) == TRANSFORMERS:
        return [[path.name, hash_file(path)] for path in sorted(used_files(folder))]
    read_folder_config(folder)
    used = {find_weights(folder).name, CONFIG_FILE, *TEXT_FILES}
    return [[name, hash_file(folder / name)] for name in sorted(used) if is_file(folder / name)]


def _plain(preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values: tuples as lists, a square size as one number."""
    plain: dict[str, Any] = json.loads(json.dumps(preprocess))
    size = plain["size"]
    if isinstance(size, list) and len(set(size)) == 1:
        plain["size"] = size[0]
    return plain
