"""What the tests of this folder read off the wrappers."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "components"


def steps() -> Iterator[tuple[str, Any]]:
    """Name and component of every step's folder."""
    for folder in sorted(path.parent for path in FOLDER.glob("*/component.py")):
        module = importlib.import_module(f"components.{folder.name}")
        yield folder.name, getattr(module, folder.name)


def tree_of(name: str) -> ast.Module:
    return ast.parse((FOLDER / name / "component.py").read_text())


def table_of(component: Any) -> str:
    """The README's table: inputs, then outputs, as KFP sees them."""
    spec = component.component_spec
    rows = [("input", "type", "default", "meaning")]
    for name, item in (spec.inputs or {}).items():
        default = f"`{item.default!r}`" if item.optional else ""
        rows.append((f"`{name}`", _type(item.type), default, item.description))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---|---|---|")
    lines += ["", "| output | type | meaning |", "|---|---|---|"]
    for name, item in (spec.outputs or {}).items():
        meaning = _argument(component, name) or _returned(component)
        lines.append(f"| `{name}` | {_type(item.type)} | {meaning} |")
    return "\n".join(lines)


def _type(name: str) -> str:
    return name.removeprefix("system.").partition("@")[0]


def _argument(component: Any, name: str) -> str:
    """The text of one entry under ``Args:``; KFP itself gives outputs the text of ``Returns:``."""
    found = re.search(
        rf"^        {name}: (.*?)(?=^ {{0,8}}\w|\n\n)", component.python_func.__doc__, re.M | re.S
    )
    return " ".join(found.group(1).split()) if found else ""


def _returned(component: Any) -> str:
    """The text under ``Returns:``."""
    text = component.python_func.__doc__.partition("Returns:\n")[2]
    return " ".join(text.split())
