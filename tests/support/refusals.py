"""Calls to a store that cannot answer, and what it says."""

import time
from collections.abc import Callable

import pytest

from openmofi.errors import StorageError
from openmofi.storage import Store

SLOWEST_REFUSAL_S = 15

CALLS: dict[str, Callable[[Store], object]] = {
    "check": lambda store: store.check(),
    "exists": lambda store: store.exists("a"),
    "get": lambda store: store.get("a"),
    "get_range": lambda store: store.get_range("a", 0, 1),
    "put": lambda store: store.put("a", b"x"),
    "list": lambda store: list(store.list()),
    "delete": lambda store: store.delete("a"),
}


def refusal(call: Callable[[], object]) -> str:
    """The message of the StorageError that ``call`` must raise quickly and in one line."""
    started = time.monotonic()
    with pytest.raises(StorageError) as caught:
        call()
    assert time.monotonic() - started < SLOWEST_REFUSAL_S
    message = str(caught.value)
    assert "\n" not in message
    return message
