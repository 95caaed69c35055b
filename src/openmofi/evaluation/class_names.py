"""Names of classes whose folders or files carry numbers and synsets."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from openmofi.errors import InputError

_SYNSET = re.compile(r"n\d{8}")
_SYNSET_FILES = ("LOC_synset_mapping.txt", "synset_words.txt")
_GPR_FILE = "GPR1200_categoryNumber_to_text.json"
_CLASSES = 1000


def imagenet_names(root: Path, keys: Sequence[str]) -> dict[str, str]:
    """Names of ImageNet's classes, by folder; those that nothing names are left out.

    The full thousand get OpenAI's edited names, which is the protocol of CLIP's zero-shot figures;
    fewer classes get the first word of ``LOC_synset_mapping.txt`` or ``synset_words.txt``.

    Raises:
        InputError: A line of a synset file is none.
    """
    if len(keys) == _CLASSES and all(map(_SYNSET.fullmatch, keys)):
        from open_clip import IMAGENET_CLASSNAMES

        return dict(zip(sorted(keys), IMAGENET_CLASSNAMES, strict=True))
    files = [root / name for name in _SYNSET_FILES if (root / name).is_file()]
    return _synset_words(files[0]) if files else {}


def numbered_names(flat: Path, keys: Iterable[str]) -> Mapping[str, str]:
    """Names of GPR1200's classes by number, from its JSON beside the images or one folder up.

    Raises:
        InputError: The JSON is not one object.
    """
    places = [folder / _GPR_FILE for folder in (flat, flat.parent)]
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


def synset_among(class_names: Sequence[str]) -> str:
    """The first class that goes by its synset, which no model can read; ``""`` if none does."""
    return next((name for name in class_names if _SYNSET.fullmatch(name)), "")


def _synset_words(path: Path) -> dict[str, str]:
    names = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        synset, _, words = line.partition(" ")
        name = words.partition(",")[0].strip()
        if not line.strip():
            continue
        if not _SYNSET.fullmatch(synset) or not name:
            raise InputError(f"{path}, line {number}: not 'n01440764 tench, …' but {line!r}")
        names[synset] = name
    return names
