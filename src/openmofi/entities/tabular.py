"""A knowledge base of one's own: CSV or JSONL, one entity a row.

Columns: ``entity_id``, ``name``, ``aliases`` (separated by ``|``; in JSONL also a list),
``description``; optional ``prior`` (a weight of popularity, 0 or more, 1 if empty), ``parents``
(ids separated by ``|``) and ``kind`` (of `openmofi.entities.kinds.KINDS`). Other columns are
ignored.
"""

import csv
import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openmofi.entities.lines import bounded_lines, json_objects
from openmofi.entities.sources import Source, SourceRow, checked_kind, parts_of
from openmofi.entities.text import SURROGATE
from openmofi.errors import InputError
from openmofi.keys import hash_file

_REQUIRED = ("entity_id", "name", "aliases", "description")
_JSON_SUFFIXES = (".jsonl", ".ndjson")
_MAX_PRIOR = 1e30  # sums stay finite, also as 32-bit floats


def read_table_source(path: Path, max_tokens: int) -> Source:
    """A CSV file, or a JSONL file by its suffix.

    Args:
        path: The file.
        max_tokens: Aliases of more words are left out.

    Raises:
        InputError: The file is missing. While it is read: it lacks a column or has a bad value;
            the message names column and line.
    """
    if not path.is_file():
        raise InputError(f"knowledge base file not found: {path}")
    counts: Counter[str] = Counter()
    return Source(
        name=path.name,
        digest=hash_file(path),
        licence="",
        parts=lambda: parts_of(table_rows(path), max_tokens, counts),
        counts=counts,
    )


def table_rows(path: Path) -> Iterator[SourceRow]:
    """The entities of a file, one after the other; an `InputError` names the line that is bad."""
    rows = _json_rows(path) if path.suffix.lower() in _JSON_SUFFIXES else _csv_rows(path)
    try:
        for number, row in rows:
            yield _entity(row, number, f"{path}, line {number}")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(bounded_lines(file, path), strict=True)
        try:
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                found = _short(", ".join(reader.fieldnames or ())) or "nothing"
                raise InputError(f"{path} lacks the column '{missing[0]}'; its columns: {found}")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}, line {reader.line_num}: not as many fields as columns"
                    )
                yield reader.line_num, row
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from None


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, row in json_objects(path):
        missing = [name for name in _REQUIRED if name not in row]
        if missing:
            raise InputError(f"{path}, line {number} lacks the field '{missing[0]}'")
        yield number, row


def _entity(row: Mapping[str, Any], line: int, where: str) -> SourceRow:
    entity_id, name, description = (
        _text(row[field], field, where) for field in ("entity_id", "name", "description")
    )
    if not entity_id or not name:
        field = "name" if entity_id else "entity_id"
        raise InputError(f"{where}: '{field}' is empty")
    prior = _weight(row.get("prior"), where)
    names = dict.fromkeys([name, *_several(row["aliases"], "aliases", where)])
    return SourceRow(
        entity_id,
        line,
        name,
        description,
        prior,
        tuple((alias, prior) for alias in names),
        broader=tuple(_several(row.get("parents"), "parents", where)),
        kind=checked_kind(_text(row.get("kind"), "kind", where), where),
    )


def _text(value: Any, field: str, where: str) -> str:
    if isinstance(value, list | dict):
        raise InputError(f"{where}: '{field}' must be text, not a JSON list or object")
    # JSON may escape half of a surrogate pair, which no file can hold.
    text = "" if value is None else " ".join(str(value).split())
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


def _several(value: Any, field: str, where: str) -> list[str]:
    parts = value if isinstance(value, list) else _text(value, field, where).split("|")
    return [text for part in parts if (text := _text(part, field, where))]


def _weight(value: Any, where: str) -> float:
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not 0 <= weight <= _MAX_PRIOR:
        raise InputError(
            f"{where}: 'prior' must be a number of 0 or more, got {_short(repr(value))}"
            + (f"; the greatest is {_MAX_PRIOR:g}" if weight > _MAX_PRIOR else "")
        )
    return weight


def _short(text: str) -> str:
    """For a message of one line, whatever a file holds."""
    return textwrap.shorten(text[:1000], 200, placeholder=" …")
