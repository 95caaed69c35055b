"""GPR1200: one flat folder of ``<class number>_<anything>.jpg``, or ``images`` with it."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from openmofi.errors import InputError
from openmofi.evaluation_data.image_set import ImageSet, folders_in, images_in, make_image_set

_NUMBERED = re.compile(r"(\d+)_")
_NAMES_FILE = "GPR1200_categoryNumber_to_text.json"
_CLASSES = 1200
_DOMAINS = ("Landmarks", "Nature", "Sketches", "Objects", "Products", "Faces")  # 200 each


def flat_folder(root: Path) -> Path | None:
    """The folder whose images lie side by side; None if there are class folders or no images."""
    if not root.is_dir():
        return None
    folders = folders_in(root)
    if set(folders) == {"images"} and all(_NUMBERED.match(p.name) for p in folders["images"]):
        return root / "images"
    return root if not folders and images_in(root) else None


def numbered(flat: Path) -> dict[str, list[Path]]:
    """Class number to images, by number.

    Raises:
        InputError: A file's name does not begin with a number.
    """
    groups: dict[int, list[Path]] = {}
    for path in images_in(flat):
        number = _NUMBERED.match(path.name)
        if number is None:
            raise InputError(
                f"{path} does not begin with a class number and an underscore, as GPR1200's files "
                "do; name it so, or sort the images into class folders"
            )
        groups.setdefault(int(number.group(1)), []).append(path)
    return {str(number): groups[number] for number in sorted(groups)}


def read_gpr1200(flat: Path) -> tuple[ImageSet, list[str]]:
    """The images, and the number of each class. Numbers beyond GPR1200's have no domain.

    Raises:
        InputError: A file's name does not begin with a number, or the names are not one object.
    """
    groups = numbered(flat)
    names = _names(flat, groups)
    are_gpr = max(map(int, groups)) < _CLASSES
    share = _CLASSES // len(_DOMAINS)
    domains = [_DOMAINS[int(key) // share] if are_gpr else "" for key in groups]
    titles = [(names.get(key, key), domain) for key, domain in zip(groups, domains, strict=True)]
    return make_image_set(list(groups.values()), titles), list(groups)


def _names(flat: Path, keys: Iterable[str]) -> Mapping[str, str]:
    """Names of classes by number, from GPR1200's JSON beside the images or one folder up."""
    places = [folder / _NAMES_FILE for folder in (flat, flat.parent)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(names, dict):
        raise InputError(f"{path} must hold one object, class number to text")
    return {key: str(names[key]) for key in keys if names.get(key)}
