"""Strict configuration: frozen models, unknown keys refused, errors in one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from openmofi.errors import InputError

SectionT = TypeVar("SectionT", bound="Section")
_UNLISTED = "see the documentation of this section"


class Section(BaseModel):
    """A frozen part of a configuration. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_config(
    section: type[SectionT],
    data: Mapping[str, Any] | None,
    *,
    where: str,
    lines: Mapping[tuple[int | str, ...], int] | None = None,
) -> SectionT:
    """Parse ``data`` strictly.

    Args:
        section: The model to fill.
        data: Plain values, as they come from YAML, JSON or a KFP parameter (where every number
            may have become a float). ``None`` means all defaults.
        where: What the user calls the source, for the message (a file name, ``"ingest"``).
        lines: Where in a file each key stands, by its path; the message then names the line.

    Raises:
        InputError: One line that names the field, what was given and what is possible.
    """
    try:
        return section.model_validate(dict(data or {}))
    except ValidationError as error:
        place = f"{where}{_line(error.errors()[0]['loc'], lines or {})}"
        raise InputError(f"{place}: {_first_problem(section, error)}") from None


def _line(path: tuple[int | str, ...], lines: Mapping[tuple[int | str, ...], int]) -> str:
    """The line of the innermost key on the path that has one; a missing key has none itself."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return f":{lines[path[:length]]}"
    return ""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping, or raise an `InputError` that names the file."""
    if not path.is_file():
        raise InputError(f"config file not found: {path}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first_line = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML: {first_line}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold a mapping at top level, not a {type(data).__name__}")
    return data


def _first_problem(section: type[BaseModel], error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"]) or "config"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(section, first["loc"][:-1]))
        return f"unknown key '{field}'; known here: {known}{more}"
    if first["type"] == "value_error" and not first["loc"]:  # our own, and about several fields
        return f"{first['ctx']['error']}{more}"
    given = "" if first["type"] == "missing" else f", got {first['input']!r}"
    return f"'{field}': {first['msg']}{given}{more}"


def _known_keys(section: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    inner: Any = section
    for part in path:
        if get_origin(inner) is dict:  # of sections, by name
            inner = get_args(inner)[1]
        else:
            field = inner.model_fields.get(str(part)) if _is_model(inner) else None
            inner = field.annotation if field else None
    return sorted(inner.model_fields) if _is_model(inner) else [_UNLISTED]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
