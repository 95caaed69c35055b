"""A finished model folder becomes a ``model`` manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmofi.keys import hash_file, hash_json
from openmofi.models.folder import CONFIG_FILE, read_folder_config
from openmofi.models.transformers_files import CONFIG
from openmofi.models.transformers_folder import OPEN_CLIP, TRANSFORMERS, find_layout
from openmofi.storage import Store, put_folder
from openmofi.versions import manifest_key, write_manifest


def publish_model(
    store: Store, folder: Path, *, origin: Mapping[str, Any], classes: int = 0
) -> str:
    """Copy a model folder into the store under the digest of its content.

    Args:
        store: Where it goes, under ``models/<digest>``.
        folder: Complete, in the layout of `openmofi.models.folder` or of
            `openmofi.models.transformers_folder`; every file in it is copied.
        origin: Where it comes from, as plain values; not a part of the digest.
        classes: Rows of the class head that lies beside the weights, 0 without one.

    Returns:
        URI of the ``model`` manifest. The same content gives the same URI; its manifest is
        written once, so that the first origin stays.
    """
    described = _describe(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}
    digest = hash_json(sorted(map(list, files.items())))
    key = manifest_key("model", digest)
    if store.exists(key):
        return f"{store.uri}/{key}"
    put_folder(store, f"models/{digest}", folder)
    content = {
        "prefix": f"models/{digest}",
        "origin": dict(origin),
        **described,
        "classes": classes,
        "files": files,
    }
    return write_manifest(store, "model", digest, content).uri


def _describe(folder: Path) -> dict[str, Any]:
    """Layout, width of the vectors, side of the images in pixels, and the config's name."""
    if find_layout(folder) == TRANSFORMERS:
        # Seconds of imports, which an open_clip model does not need.
        from openmofi.models.transformers_model import (
            embedding_width,
            read_config,
            read_processor,
        )

        _, preprocess = read_processor(folder)
        return {
            "layout": TRANSFORMERS,
            "dim": embedding_width(read_config(folder)),
            "image_size": max(preprocess.height, preprocess.width),
            "config": CONFIG,
        }
    model = read_folder_config(folder)["model_cfg"]
    return {
        "layout": OPEN_CLIP,
        "dim": int(model["embed_dim"]),
        "image_size": _side(model["vision_cfg"].get("image_size", 224)),
        "config": CONFIG_FILE,
    }


def _side(size: int | list[int]) -> int:
    """One number of a size that may be ``[height, width]``: the larger."""
    return int(size if isinstance(size, int | float) else max(size))
