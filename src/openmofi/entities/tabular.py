"""A knowledge base of one's own: CSV or JSONL, one entity a row.

Columns: ``entity_id``, ``name``, ``aliases`` (separated by ``|``; in JSONL also a list),
``description``; optional ``prior`` (a weight of popularity, 0 or more, 1 if empty) and ``parents``
(ids separated by ``|``). Other columns are ignored.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openmofi.entities.sources import Source, SourceEntity
from openmofi.errors import InputError
from openmofi.keys import hash_file

_REQUIRED = ("entity_id", "name", "aliases", "description")
_JSON_SUFFIXES = (".jsonl", ".ndjson")


def read_table_source(path: Path) -> Source:
    """Read a CSV file, or a JSONL file by its suffix.

    Raises:
        InputError: The file is missing, lacks a column, repeats an id, or has a bad value; the
            message names column and line.
    """
    if not path.is_file():
        raise InputError(f"knowledge base file not found: {path}")
    rows = _json_rows(path) if path.suffix.lower() in _JSON_SUFFIXES else _csv_rows(path)
    entities: list[SourceEntity] = []
    lines: dict[str, int] = {}
    try:
        for number, row in rows:
            entity = _entity(row, f"{path}, line {number}")
            if entity.entity_id in lines:
                raise InputError(
                    f"{path}, line {number}: entity id '{entity.entity_id}' is also in line "
                    f"{lines[entity.entity_id]}"
                )
            lines[entity.entity_id] = number
            entities.append(entity)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    return Source(name=path.name, digest=hash_file(path), licence="", entities=tuple(entities))


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                found = ", ".join(reader.fieldnames or ()) or "nothing"
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
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number} is not a JSON object")
            missing = [name for name in _REQUIRED if name not in row]
            if missing:
                raise InputError(f"{path}, line {number} lacks the field '{missing[0]}'")
            yield number, row


def _entity(row: Mapping[str, Any], where: str) -> SourceEntity:
    entity_id, name = _text(row["entity_id"]), _text(row["name"])
    if not entity_id or not name:
        field = "name" if entity_id else "entity_id"
        raise InputError(f"{where}: '{field}' is empty")
    prior = _weight(row.get("prior"), where)
    names = dict.fromkeys([name, *_several(row["aliases"])])
    return SourceEntity(
        entity_id=entity_id,
        name=name,
        aliases=tuple((alias, prior) for alias in names),
        description=_text(row["description"]),
        popularity=prior,
        parents=tuple(_several(row.get("parents"))),
    )


def _text(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def _several(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else _text(value).split("|")
    return [text for text in map(_text, parts) if text]


def _weight(value: Any, where: str) -> float:
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"{where}: 'prior' must be a number of 0 or more, got {value!r}")
    return weight
