"""An evaluation set: a folder of class folders, known by the digest of its images.

Assembly removes its images from training data; evaluation measures on it. Both must mean the same
set, so it has one reader and one digest.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.images import image_id
from openmofi.keys import hash_json

_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}


@dataclass(frozen=True)
class ImageSet:
    """Images with class labels, sorted by class folder, then by file name."""

    paths: Sequence[Path]
    labels: npt.NDArray[np.int64]  # [images], index into class_names
    class_names: Sequence[str]
    domains: Sequence[str]  # one a class; "" where classes.csv names none
    image_ids: Sequence[str]
    digest: str


def read_image_set(folder: str | Path) -> ImageSet:
    """Read ``<folder>/<class>/*`` with names from an optional ``classes.csv``.

    Args:
        folder: Class folders, or folders of them (``<folder>/<domain>/<class>/*``);
            ``classes.csv`` has the columns ``folder`` (with the domain's, where there is one),
            ``name`` and, optionally, ``domain``. Without it a folder's name is the class name,
            underscores as spaces.

    Raises:
        InputError: The folder is missing or holds no image, or ``classes.csv`` lacks a column.
    """
    text = str(folder)
    root = Path(unquote(text.removeprefix("file://")) if text.startswith("file://") else text)
    if not root.is_dir():
        raise InputError(f"evaluation set not found: {root} is not a folder")
    named = _read_names(root / "classes.csv")
    found = _class_folders(root)
    if not found:
        raise InputError(f"evaluation set {root} holds no class folder with images")
    paths = [path for _, images in found for path in images]
    labels = [index for index, (_, images) in enumerate(found) for _ in images]
    default = [(entry.name.replace("_", " "), "") for entry, _ in found]
    places = [entry.relative_to(root).as_posix() for entry, _ in found]
    names = [named.get(place, d) for place, d in zip(places, default, strict=True)]
    ids = [image_id(path.read_bytes()) for path in paths]
    return ImageSet(
        paths=paths,
        labels=np.asarray(labels, dtype=np.int64),
        class_names=[name for name, _ in names],
        domains=[domain for _, domain in names],
        image_ids=ids,
        digest=hash_json([names, labels, ids]),
    )


def _class_folders(root: Path) -> list[tuple[Path, list[Path]]]:
    """Folders that hold images, with them; a folder without is looked into once more."""
    found = []
    for entry in sorted(path for path in root.iterdir() if path.is_dir()):
        if images := _images(entry):
            found.append((entry, images))
        else:
            inner = sorted(path for path in entry.iterdir() if path.is_dir())
            found += [(path, images) for path in inner if (images := _images(path))]
    return found


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _EXTENSIONS)


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
