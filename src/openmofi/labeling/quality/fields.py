"""Fields of JSON that people hand in, checked one by one: errors name file, field and value."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any

from openmofi.errors import InputError

_WORDS: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def field(row: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    """The value of a field; for ``float`` any finite number will do.

    Raises:
        InputError: It is missing or of another kind.
    """
    if name not in row:
        raise InputError(f"{where} lacks the field '{name}'")
    value: Any = row[name]
    # A bool is an int too, but no number that anyone meant.
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"{where}: '{name}' must be {_WORDS[kind]}, got {reprlib.repr(row[name])}")
    return value


def number_between(row: Mapping[str, Any], name: str, low: float, high: float, where: str) -> float:
    """A number from ``low`` to ``high``, both allowed.

    Raises:
        InputError: It is missing, no number, or outside.
    """
    value = float(field(row, name, float, where))
    if not low <= value <= high:
        raise InputError(f"{where}: '{name}' must lie between {low:g} and {high:g}, got {value:g}")
    return value


def count(row: Mapping[str, Any], name: str, where: str) -> int:
    """An integer of 0 or more.

    Raises:
        InputError: It is missing, no integer, or negative.
    """
    value = int(field(row, name, int, where))
    if value < 0:
        raise InputError(f"{where}: '{name}' must be 0 or more, got {value}")
    return value


def text(row: Mapping[str, Any], name: str, where: str) -> str:
    """A string that is not empty and that UTF-8 can hold.

    Raises:
        InputError: It is missing, no string, empty, or holds half of a surrogate pair.
    """
    value = str(field(row, name, str, where))
    if not value:
        raise InputError(f"{where}: '{name}' is empty")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f"{where}: '{name}' holds half of a surrogate pair")
    return value


def only_known(row: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuse a field that nothing reads.

    Raises:
        InputError: There is one; the message names it.
    """
    for name in row:
        if name not in known:
            raise InputError(
                f"{where}: unknown field '{name:.60}'; known: {', '.join(sorted(known))}"
            )
