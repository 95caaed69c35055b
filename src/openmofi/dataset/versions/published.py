"""Which version of a data set stands under a name: a pointer, ``published/<name>.json``.

Publishing is one small write, and going back to an older version is another. There is no lock: of
two that publish at once the last one stands, and the other is told as a fork when it has an heir.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from openmofi.errors import InputError
from openmofi.storage import Store, open_store
from openmofi.versions import manifest_key, read_manifest

if TYPE_CHECKING:
    from openmofi.dataset.versions.version import Dataset

FOLDER = "published/"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MOST = 100  # of the history
_MANIFESTS = "manifests/dataset/"


def pointer_key(name: str) -> str:
    """Where the pointer of a name lies.

    Raises:
        InputError: It can be no name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"'{name}' is no name for a version; use a-z, 0-9, '.', '_' and '-'")
    return f"{FOLDER}{name}.json"


def version_key(digest: str) -> str:
    """Where the manifest of a version lies; a pointer holds this, so that a copied root works."""
    return manifest_key("dataset", digest)


def digest_in(address: str) -> str:
    """The digest in a manifest's key or URI; empty for an empty one."""
    return PurePosixPath(address).stem if address else ""


def read_pointer(store: Store, name: str) -> dict[str, Any]:
    """What is published under a name; empty if nothing is.

    Raises:
        InputError: The pointer is damaged.
    """
    key = pointer_key(name)
    if not store.exists(key):
        return {}
    try:
        found: dict[str, Any] = json.loads(store.get(key))
        history = [one["dataset"] for one in found["history"]]
        if not all(one.startswith(_MANIFESTS) for one in [found["dataset"], *history]):
            raise ValueError("something else is published")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{store.uri}/{key} is damaged; remove it, and publish the version again"
        ) from None
    return found


def read_pointers(store: Store) -> dict[str, dict[str, Any]]:
    """All pointers of a store by name, sorted."""
    names = [digest_in(info.key) for info in store.list(FOLDER) if info.key.endswith(".json")]
    return {name: read_pointer(store, name) for name in sorted(names)}


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


def publish(dataset: str, *, name: str = "main", why: str, force: bool = False) -> bool:
    """Let ``name`` stand for a version; False if it did already.

    Args:
        dataset: Manifest URI of kind ``dataset``, or ``ROOT@name``.
        name: Of the pointer.
        why: For the history: ``refresh``, ``by hand``. An older version is noted as ``back``.
        force: Publish it whatever it grew from.

    Raises:
        InputError: It grew neither from what is published nor into it, or it is not whole.
    """
    from openmofi.dataset.versions.version import (
        read_dataset,  # which resolves names by this module
    )

    version = read_dataset(dataset)
    pointer = read_pointer(version.store, name)
    key = version_key(version.manifest.digest)
    if pointer.get("dataset") == key:
        return False
    _check_whole(version)
    if pointer and _is_older(version, pointer):
        why = "back"
    elif pointer and not force:
        _check_descent(version, name, digest_in(pointer["dataset"]))
    now = {"dataset": key, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "why": why}
    body = {
        "dataset": key,
        "content_digest": version.content["content_digest"],
        "history": [now, *pointer.get("history", [])][:_MOST],
    }
    version.store.put(pointer_key(name), json.dumps(body, indent=1).encode())
    return True


def ancestors(store: Store, digest: str) -> Iterator[str]:
    """Digests of what a version grew from, nearest first.

    A version that was removed since is named, and its own parent is not known any more.
    """
    while digest and store.exists(version_key(digest)):
        content = read_manifest(f"{store.uri}/{version_key(digest)}", "dataset").content
        digest = digest_in(str(content["parent"]))
        if digest:
            yield digest


def _check_whole(version: "Dataset") -> None:
    for key in (version.content["index"], version.content["vocabulary"]):
        if not version.store.exists(key):
            raise InputError(f"{version.uri} is not whole: {key} is missing; assemble it again")


def _is_older(version: "Dataset", pointer: Mapping[str, Any]) -> bool:
    """Whether it stood under this name before, or what stands there grew from it."""
    if any(digest_in(one["dataset"]) == version.manifest.digest for one in pointer["history"]):
        return True
    return version.manifest.digest in ancestors(version.store, digest_in(pointer["dataset"]))


def _check_descent(version: "Dataset", name: str, published: str) -> None:
    store, parent = version.store, str(version.content["parent"])
    if published in ancestors(store, version.manifest.digest):
        return
    mend = f"assemble again with --parent {store.uri}@{name}, or publish with --force"
    if parent and not parent.startswith(f"{store.uri}/{_MANIFESTS}"):
        raise InputError(
            f"{version.uri} grew from {parent}, in another store, and {published} is published "
            f"as '{name}'; {mend}"
        )
    raise InputError(
        f"{version.uri} grew from {digest_in(parent) or 'nothing'}, and {published} is published "
        f"as '{name}': two versions grew from one parent; {mend}"
    )
