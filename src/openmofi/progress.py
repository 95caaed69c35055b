"""What long work tells a person: one line per fact, and a bar per loop, both on stderr."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

ItemT = TypeVar("ItemT")


def say(message: str) -> None:
    """One line for the person who watches."""
    tqdm.write(message, file=sys.stderr)
    sys.stderr.flush()


def bar(
    items: Iterable[ItemT], *, label: str, total: int | None = None, unit: str
) -> Iterable[ItemT]:
    """Iterate with a progress bar that shows rate and time left.

    In logs, where nobody sees a bar move, it prints at most every thirty seconds, and nothing
    before the first thirty are over.
    """
    watched = sys.stderr.isatty()
    return tqdm(
        items,
        desc=label,
        total=total,
        unit=unit,
        mininterval=0.5 if watched else 30,
        delay=0 if watched else 30,
        file=sys.stderr,
        leave=False,
    )
