"""Which version a new one follows: named by its address, or as what is published at that moment."""

from openmofi.dataset.versions.published import read_pointer, resolve
from openmofi.storage import Store

_PUBLISHED = "published:"


def find_parent(named: str, store: Store) -> str:
    """The manifest URI of a parent; empty for none.

    Args:
        named: A manifest's URI, ``ROOT@name``, or ``published:name`` for what stands under that
            name in ``store``. Nothing published is no parent: so a schedule's constant parameters
            do for its first run too.
        store: Where the new version is made.

    Raises:
        InputError: ``name`` can be no name, or nothing is published as ``ROOT@name``.
    """
    if not named.startswith(_PUBLISHED):
        return resolve(named)
    name = named.removeprefix(_PUBLISHED)
    return resolve(f"{store.uri}@{name}") if read_pointer(store, name) else ""


def was_taken_back(dataset: str, named: str, store: Store) -> bool:
    """Whether a version has stood under ``published:name`` before, and another stands there now.

    Somebody has gone back then, and a run on the same source must not undo that.
    """
    if not named.startswith(_PUBLISHED):
        return False
    pointer = read_pointer(store, named.removeprefix(_PUBLISHED))
    key = dataset.removeprefix(f"{store.uri}/")
    before = {one["dataset"] for one in pointer.get("history", ())}
    return key in before and pointer["dataset"] != key
