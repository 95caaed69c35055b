"""What long work tells a person: one line per fact, and a bar per loop, both on stderr."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from openmofi.store_wait import store_wait

ItemT = TypeVar("ItemT")

_WORTH_A_WORD_S = 0.05
_LOGGED_EVERY_S = 30.0


def say(message: str) -> None:
    """One line for the person who watches."""
    if sys.stderr.isatty():
        tqdm.write(message, file=sys.stderr)
    else:  # tqdm would draw the bars anew behind it, and the next line would stand on a bar's
        sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def bar(
    items: Iterable[ItemT], *, label: str, total: int | None = None, unit: str
) -> Iterable[ItemT]:
    """Iterate with a progress bar that shows rate and time left.

    In logs, where nobody sees a bar move, it prints at most every thirty seconds, and nothing
    before the first thirty are over.
    """
    return tqdm(items, desc=label, total=total, unit=unit, **_quiet())


@contextlib.contextmanager
def timed(label: str) -> Iterator[None]:
    """Say how long a block took that ended well: ``assemble: duplicates took 12.3 s``.

    If this thread has waited for the store in it, that is said too.
    """
    with store_wait() as wait:
        yield
    waited = f", {wait.total:.1f} s of it waiting for the store"
    told = waited if wait.total >= _WORTH_A_WORD_S else ""
    say(f"{label} took {wait.elapsed:.1f} s{told}")


@contextlib.contextmanager
def byte_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over ``total`` bytes; what is called with the number of bytes moves it."""
    with _counted(label, total, unit="B", unit_scale=True) as advance:
        yield advance


@contextlib.contextmanager
def image_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over ``total`` images; what is called with the number of images moves it."""
    with _counted(label, total, unit="image") as advance:
        yield advance


@contextlib.contextmanager
def _counted(label: str, total: int, **shown: Any) -> Iterator[Callable[[int], None]]:
    with tqdm(desc=label, total=total, **shown, **_quiet()) as progress:

        def advance(count: int) -> None:
            progress.update(count)

        yield advance


def _quiet() -> dict[str, Any]:
    shown = {"file": sys.stderr, "leave": False}
    if sys.stderr.isatty():
        return {**shown, "mininterval": 0.5}
    # A line each time, so that what is said next does not stand behind a bar.
    line = "{l_bar}{bar}{r_bar}\n"
    return {**shown, "mininterval": _LOGGED_EVERY_S, "delay": _LOGGED_EVERY_S, "bar_format": line}
