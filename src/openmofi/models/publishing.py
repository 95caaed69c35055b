"""A finished model folder becomes a ``model`` manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmofi.keys import hash_file, hash_json
from openmofi.models.folder import CONFIG_FILE, read_folder_config
from openmofi.storage import Store, put_folder
from openmofi.versions import write_manifest


def publish_model(
    store: Store, folder: Path, *, origin: Mapping[str, Any], classes: int = 0
) -> str:
    """Copy a model folder into the store under the digest of its content.

    Args:
        store: Where it goes, under ``models/<digest>``.
        folder: Complete, in the layout of `openmofi.models.folder`; every file in it is copied.
        origin: Where it comes from, as plain values; not a part of the digest.
        classes: Rows of the class head that lies beside the weights, 0 without one.

    Returns:
        URI of the ``model`` manifest. The same content gives the same URI; its manifest is
        written once, so that the first origin stays.
    """
    model = read_folder_config(folder)["model_cfg"]
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}
    digest = hash_json(sorted(map(list, files.items())))
    key = f"manifests/model/{digest}.json"
    if store.exists(key):
        return f"{store.uri}/{key}"
    put_folder(store, f"models/{digest}", folder)
    content = {
        "prefix": f"models/{digest}",
        "origin": dict(origin),
        "dim": int(model["embed_dim"]),
        "image_size": _side(model["vision_cfg"].get("image_size", 224)),
        "classes": classes,
        "config": CONFIG_FILE,
        "files": files,
    }
    return write_manifest(store, "model", digest, content).uri


def _side(size: int | list[int]) -> int:
    """One number of a size that may be ``[height, width]``: the larger."""
    return int(size if isinstance(size, int | float) else max(size))
