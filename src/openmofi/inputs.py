"""Where what a person hands over can be read as files: a path as it is, S3 by way of the cache.

For what libraries open by path: dumps, tables, model folders, evaluation sets. On a cluster they
lie on S3, since a pod has no other disk that everybody sees.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openmofi.errors import InputError
from openmofi.files import cache_folder, new_folder
from openmofi.keys import hash_json
from openmofi.progress import bar
from openmofi.storage import ObjectInfo, Store, open_store

_THREADS = 8  # an evaluation set is thousands of small objects, and each waits for an answer


def is_on_s3(given: str | Path) -> bool:
    """Whether it must be fetched."""
    return str(given).startswith("s3://")


def fetched(given: str) -> Path:
    """The file or folder at ``s3://bucket/key``, fetched once into the cache.

    It is fetched again when an object of it is written anew; older copies stay in the cache
    (``OPENMOFI_CACHE``, else ``~/.cache/openmofi``), below ``inputs``.

    Raises:
        InputError: Nothing lies there.
        StorageError: The store can't be reached.
    """
    store, name, found = _listed(given)
    version = hash_json([given.rstrip("/"), [(one.key, one.size, one.tag) for one in found]])
    target = cache_folder() / "inputs" / version
    if not target.is_dir():
        try:
            with new_folder(target) as folder:
                _fetch(store, found, folder, given)
        except InputError:
            if not target.is_dir():  # else another process was first, with the same content
                raise
    return target / name


def check_input(given: str) -> None:
    """Raise what `fetched` would, without fetching."""
    _listed(given)


def _listed(given: str) -> tuple[Store, str, list[ObjectInfo]]:
    """The store around it, its name there, and its objects."""
    around, _, name = given.rstrip("/").rpartition("/")
    if around.removeprefix("s3:/") in ("", "/"):
        raise InputError(f"{given} is a whole bucket; write s3://bucket/prefix")
    store = open_store(around)
    below = f"{name}/"
    found = [one for one in store.list(name) if one.key == name or one.key.startswith(below)]
    if not found:
        raise InputError(f"{given} is not there: no object has that name or lies below it")
    return store, name, found


def _fetch(store: Store, found: list[ObjectInfo], folder: Path, given: str) -> None:
    def fetch(one: ObjectInfo) -> None:
        path = folder / one.key
        path.parent.mkdir(parents=True, exist_ok=True)
        with store.local_file(one.key) as copy:
            shutil.move(copy, path)

    with ThreadPoolExecutor(_THREADS) as pool:
        label = f"fetching {given}"
        for _ in bar(pool.map(fetch, found), label=label, total=len(found), unit="object"):
            pass
