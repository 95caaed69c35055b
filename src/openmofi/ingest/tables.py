"""Table sources: CSV, TSV, JSONL or Parquet with a column of image paths."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from openmofi.errors import InputError
from openmofi.ingest.config import IngestConfig
from openmofi.ingest.texts import licence_of, refuses_ai
from openmofi.records import read_parquet

TABLE_EXTENSIONS = (".csv", ".tsv", ".jsonl", ".parquet")

_USUAL: dict[str, tuple[str, ...]] = {
    "image": (
        "image", "path", "filepath", "file_path", "image_path", "filename", "file_name", "file",
    ),
    "text": ("text", "caption", "alt_text", "alt"),
    "title": ("title", "page_title"),
    "url": ("url", "image_url", "img_url"),
    "licence": (),  # of the names that `licence_of` knows, the first in each row
}  # fmt: skip
_URL = ("http://", "https://")


def read_table(path: Path, config: IngestConfig, *, name: str) -> list[dict[str, Any]]:
    """Rows of ``image``, ``text``, ``title``, ``url``, ``licence`` and ``no_ai``, in their order.

    All are texts or None, but ``no_ai``, which is as `Texts` has it.

    Args:
        path: The local file.
        config: Names of columns; None looks for the usual ones.
        name: What the user calls the file, for messages.

    Raises:
        InputError: The table is unreadable, lacks a column, or names URLs instead of files.
    """
    header, rows = _open(path, name)
    chosen = _choose_columns(header, config, name)
    found = []
    for row in rows:
        told = {field: _text(row.get(column)) for field, column in chosen.items()}
        texts = {field: told.get(field) for field in _USUAL}
        if (texts["image"] or "").lower().startswith(_URL):
            raise InputError(_use_img2dataset(name, chosen["image"]))
        if "licence" not in chosen:
            texts["licence"] = licence_of(row)
        found.append({**texts, "no_ai": refuses_ai(row)})
    return found


def _choose_columns(header: Sequence[str], config: IngestConfig, name: str) -> dict[str, str]:
    chosen = {}
    for field, usual in _USUAL.items():
        asked = getattr(config, f"{field}_column")
        if asked is not None and asked not in header:
            raise InputError(f"{name} has no column '{asked}' ({_has(header)})")
        column = asked or next((c for c in usual if c in header), None)
        if column is not None:
            chosen[field] = column
    if "image" not in chosen and "url" in chosen:
        raise InputError(_use_img2dataset(name, chosen["url"]))
    for field in ("image", "text"):
        if field not in chosen:
            raise InputError(
                f"{name} has no {field} column ({_has(header)}); "
                f"looked for {', '.join(_USUAL[field])}; name it with '{field}_column'"
            )
    return chosen


def _has(header: Sequence[str]) -> str:
    return f"it has: {', '.join(header)}" if header else "it has none"


def _use_img2dataset(name: str, column: str) -> str:
    return (
        f"{name} names images by URL (column '{column}'): download them with img2dataset "
        "(--output_format webdataset) and give its output folder as source"
    )


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _open(path: Path, name: str) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        match path.suffix.lower():
            case ".parquet":
                table = read_parquet(path)
                return table.column_names, table.to_pylist()
            case ".jsonl":
                rows = list(_json_lines(path, name))
                return list(dict.fromkeys(key for row in rows for key in row)), rows
            case ".tsv":
                return _delimited(path, "\t")
            case _:
                return _delimited(path, ",")
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name} cannot be read as a table: {reason}") from None


def _delimited(path: Path, delimiter: str) -> tuple[list[str], list[dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        return list(reader.fieldnames or ()), list(reader)


def _json_lines(path: Path, name: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{name}, line {number} is not JSON: {error.msg}") from None
            if not isinstance(row, dict):
                raise InputError(f"{name}, line {number} is not a JSON object")
            yield row
