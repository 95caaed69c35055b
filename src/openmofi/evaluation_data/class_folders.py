"""Class folders: ``DIR/<class>/*``, or folders of them, ``DIR/<domain>/<class>/*``."""

import csv
from pathlib import Path

from openmofi.errors import InputError
from openmofi.evaluation_data.image_set import (
    ImageSet,
    images_in,
    local_path,
    make_image_set,
    told,
)


def read_class_folders(folder: str | Path) -> ImageSet:
    """Read ``<folder>/<class>/*`` with names from an optional ``classes.csv``.

    Args:
        folder: Class folders, or folders of them (``<folder>/<domain>/<class>/*``);
            ``classes.csv`` has the columns ``folder`` (with the domain's, where there is one),
            ``name`` and, optionally, ``domain``. Without it a folder's name is the class name,
            underscores as spaces.

    Raises:
        InputError: The folder is missing or holds no image, or ``classes.csv`` lacks a column.
    """
    root = local_path(folder)
    if not root.is_dir():
        raise InputError(f"evaluation set not found: {root} is not a folder")
    names = _read_names(root / "classes.csv")
    found = _class_folders(root)
    if not found:
        raise InputError(f"evaluation set {root} holds no class folder with images")
    return make_image_set(
        [images for _, images in found],
        [
            names.get(entry.relative_to(root).as_posix(), (told(entry.name), ""))
            for entry, _ in found
        ],
    )


def _class_folders(root: Path) -> list[tuple[Path, list[Path]]]:
    """Folders that hold images, with them; a folder without is looked into once more."""
    found = []
    for entry in sorted(path for path in root.iterdir() if path.is_dir()):
        if images := images_in(entry):
            found.append((entry, images))
        else:
            inner = sorted(path for path in entry.iterdir() if path.is_dir())
            found += [(path, images) for path in inner if (images := images_in(path))]
    return found


def _read_names(path: Path) -> dict[str, tuple[str, str]]:
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8: {error}") from None
    missing = {"folder", "name"} - columns
    if missing:
        raise InputError(f"{path} lacks the column '{sorted(missing)[0]}'")
    for row in rows:
        if not row["name"]:
            raise InputError(f"{path} gives no name for the folder '{row['folder']}'")
    return {row["folder"]: (row["name"], row.get("domain") or "") for row in rows}
