"""ImageNet: ``DIR/val/<synset>/*`` is tested on, ``DIR/train/<synset>/*`` may be learned from."""

import re
from collections.abc import Sequence
from pathlib import Path

from openmofi.errors import InputError
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.evaluation_data.image_set import (
    ImageSet,
    class_keys,
    folders_in,
    images_in,
    named,
    told,
)

_SYNSET = re.compile(r"n\d{8}")
_SYNSET_FILES = ("LOC_synset_mapping.txt", "synset_words.txt")
_CLASSES = 1000


def is_imagenet(root: Path) -> bool:
    """Whether there is ``val``, and it is no class: classes hold images, not folders of them.

    Raises:
        InputError: The images of ``val`` are not sorted into class folders.
    """
    val = root / "val"
    if not val.is_dir():
        return False
    if folders_in(val):
        return True
    if (root / "train").is_dir() and images_in(val):
        raise InputError(
            f"{val} holds images without class folders; sort them into val/<synset>/ first "
            "(labels stand in ILSVRC's LOC_val_solution.csv)"
        )
    return False


def read_imagenet(root: Path) -> ImageSet:
    """The images of ``val``. ``val/classes.csv`` names the classes, else `imagenet_names`.

    Raises:
        InputError: A line of a synset file is none, or ``classes.csv`` lacks a column.
    """
    images = read_class_folders(root / "val")
    keys = class_keys(images)
    if list(images.class_names) == [told(key) for key in keys]:  # no classes.csv names them
        names = imagenet_names(root, keys)
        images = named(images, [(names.get(key, key), "") for key in keys])
    return images


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
