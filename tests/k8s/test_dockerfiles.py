"""Scope: docker/: what the images install is all that a step imports. Shape: tests/docker."""

import ast
import importlib.metadata as metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components import images

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "src" / "openmofi"
DOCKERFILES = {"CURATION": "curation", "TRAINING": "training"}
IMAGES = pytest.mark.parametrize("image", DOCKERFILES)


def dockerfile(image: str) -> str:
    return (REPOSITORY / "docker" / f"{DOCKERFILES[image]}.Dockerfile").read_text()


def extras(image: str) -> set[str]:
    """Extras whose packages the image holds; tests/docker holds docker/requirements.py to it."""
    assert f"/tools/requirements/{DOCKERFILES[image]}.txt" in dockerfile(image)
    return {"CURATION": {"curate", "pipelines"}, "TRAINING": {"train", "pipelines"}}[image]


@IMAGES
def test_an_image_is_tagged_as_components_name_it(image: str) -> None:
    assert f"-t {getattr(images, image)} ." in dockerfile(image)


def distributions(wanted: set[str]) -> set[str]:
    """Names of all that pip installs for our package with these extras."""
    found: set[tuple[str, str]] = set()
    waiting = [("openmofi", extra) for extra in sorted(wanted)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if not requirement.marker or requirement.marker.evaluate({"extra": extra}):
                inner = canonicalize_name(requirement.name)
                waiting += [(inner, e) for e in ("", *sorted(requirement.extras))]
    return {name for name, _ in found}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(image: str) -> dict[str, str]:
    """Modules outside the library that the image's steps can import, and who imports them."""
    waiting = [
        path
        for path in sorted((REPOSITORY / "components").glob("*/component.py"))
        if f"base_image={image}," in path.read_text()
    ]
    assert len(waiting) >= 3
    seen: set[Path] = set(waiting)
    found: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "openmofi":
                found.setdefault(parts[0], str(path.relative_to(REPOSITORY)))
                continue
            base = LIBRARY.joinpath(*parts[1:])
            for module in (base.with_suffix(".py"), base / "__init__.py"):
                if module.is_file() and module not in seen:
                    seen.add(module)
                    waiting.append(module)
    return found


@IMAGES
def test_an_image_holds_all_that_its_steps_import(image: str) -> None:
    installed = distributions(extras(image))
    providers = metadata.packages_distributions()
    missing = {
        module: importer
        for module, importer in reached(image).items()
        if module not in {*sys.stdlib_module_names, "components"}
        and not {canonicalize_name(name) for name in providers.get(module, ())} & installed
    }
    assert missing == {}
