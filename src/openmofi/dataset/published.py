"""Which version of a data set stands under a name: a pointer, ``published/<name>.json``.

Publishing is one small write, and going back to an older version is another.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

from openmofi.errors import InputError
from openmofi.storage import Store, open_store
from openmofi.versions import read_manifest

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MOST = 100  # of the history


def pointer_key(name: str) -> str:
    """Where the pointer of a name lies.

    Raises:
        InputError: It can be no name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"'{name}' is no name for a version; use a-z, 0-9, '.', '_' and '-'")
    return f"published/{name}.json"


def read_pointer(store: Store, name: str) -> dict[str, Any]:
    """What is published under a name; empty if nothing is."""
    key = pointer_key(name)
    if not store.exists(key):
        return {}
    try:
        found: dict[str, Any] = json.loads(store.get(key))
    except ValueError:
        raise InputError(f"{store.uri}/{key} is damaged: it is not JSON") from None
    return found


def resolve(uri: str) -> str:
    """A manifest's URI as it is; of ``ROOT@name``, the URI of what is published there.

    Raises:
        InputError: Nothing is published under that name.
    """
    root, at, name = uri.rpartition("@")
    if not at or uri.endswith(".json"):
        return uri
    store = open_store(root)
    pointer = read_pointer(store, name)
    if not pointer:
        raise InputError(f"nothing is published as '{name}' in {store.uri}")
    return f"{store.uri}/{pointer['dataset']}"


def publish(dataset: str, *, name: str = "main", why: str) -> bool:
    """Let ``name`` stand for a version; False if it did already.

    Args:
        dataset: Manifest URI of kind ``dataset``.
        name: Of the pointer.
        why: For the history: ``refresh``, ``by hand``.
    """
    manifest = read_manifest(resolve(dataset), "dataset")
    pointer = read_pointer(manifest.store, name)
    key = manifest.uri.removeprefix(f"{manifest.store.uri}/")
    if pointer.get("dataset") == key:
        return False
    now = {"dataset": key, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "why": why}
    body = {
        "dataset": key,
        "content_digest": manifest.content["content_digest"],
        "history": [now, *pointer.get("history", [])][:_MOST],
    }
    manifest.store.put(pointer_key(name), json.dumps(body, indent=1).encode())
    return True
