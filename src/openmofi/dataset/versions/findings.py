"""What a check of a version has found, apart from what compactions explain."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from openmofi.errors import InputError
from openmofi.storage import Store

COMPACTIONS = "compactions/"
# What reading a damaged file, or one of another format, may raise.
DAMAGED = (pa.ArrowException, ValueError, KeyError, TypeError, OSError, InputError)

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, order=True)
class Problem:
    """An object of the store, and what is wrong with it."""

    key: str
    what: str


class Findings:
    """Problems by object. Threads may add to it.

    Args:
        store: Where the version lies.
        present: Keys of the objects that are there.
    """

    def __init__(self, store: Store, present: frozenset[str]) -> None:
        self.problems: list[Problem] = []
        self.taken_down: list[Problem] = []
        self.counts_add_up = True
        self._present = present
        self._after = _read_compactions(store)
        self._lock = threading.Lock()

    def add(self, key: str, what: str, *found: str) -> None:
        """Note what is wrong with an object.

        Args:
            key: The object's.
            what: In words, after the key.
            found: Digests of what is there instead. None says that nothing is.
        """
        explained = self._after.get(key, set())
        with self._lock:
            is_known = bool(explained & set(found)) if found else "" in explained
            (self.taken_down if is_known else self.problems).append(Problem(key, what))

    def add_count(self, key: str, what: str) -> None:
        """Note counts that do not add up."""
        with self._lock:
            self.counts_add_up = False
            self.problems.append(Problem(key, what))

    def is_there(self, key: str, named_by: str = "") -> bool:
        """Whether an object is there; if not, that is noted."""
        if key not in self._present:
            self.add(key, f"is missing; {named_by} names it" if named_by else "is missing")
        return key in self._present

    def read(self, key: str, reader: Callable[[], FoundT]) -> FoundT | None:
        """What ``reader`` makes of an object that is there; None if it cannot, which is noted."""
        if not self.is_there(key):
            return None
        try:
            return reader()
        except DAMAGED as error:
            self.add(
                key, f"cannot be read: {str(error).splitlines()[0] if str(error) else error!r}"
            )
            return None


def _read_compactions(store: Store) -> dict[str, set[str]]:
    """By key: digests that compactions have left there; an empty one for what they removed."""
    found: dict[str, set[str]] = defaultdict(set)
    for info in store.list(COMPACTIONS):
        try:
            objects = json.loads(store.get(info.key))["objects"]
            left = {key: digests["after"] or "" for key, digests in objects.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{store.uri}/{info.key} is damaged: it is no record of a compaction; remove it, "
                "and what it explained is told as a problem"
            ) from None
        for key, digest in left.items():
            found[key].add(digest)
    return found
