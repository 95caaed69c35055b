"""The layouts in which evaluation sets come, told apart by what lies in the folder.

* class folders: ``DIR/<class>/*``, see `openmofi.image_set`
* GPR1200: one flat folder of ``<class number>_<anything>.jpg``, or one called ``images`` with it
* ImageNet: ``DIR/val/<synset>/*``, and ``DIR/train/<synset>/*`` if training images are wanted
* captions: Karpathy's JSON with COCO's or Flickr30k's images, see `openmofi.evaluation.captions`
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.evaluation.captions import Captions, find_captions, read_captions
from openmofi.evaluation.class_names import imagenet_names, numbered_names
from openmofi.image_set import ImageSet, read_image_set
from openmofi.images import image_id
from openmofi.keys import hash_bytes, hash_json
from openmofi.progress import say

_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}
_NUMBERED = re.compile(r"(\d+)_")
_GPR_CLASSES = 1200
_GPR_DOMAINS = ("Landmarks", "Nature", "Sketches", "Objects", "Products", "Faces")  # 200 each


@dataclass(frozen=True)
class EvaluationData:
    """An evaluation set, and what its layout brings beside the images that are tested on.

    Attributes:
        images: What is tested on. With captions it is one class without a name.
        keys: What each class is called on disk: how other folders' classes are matched.
        train: Folder of training images.
        captions: Texts of the images.
    """

    images: ImageSet
    keys: Sequence[str]
    train: Path | None = None
    captions: Captions | None = None


def read_evaluation_data(data: str | Path) -> EvaluationData:
    """Read a folder, or Karpathy's JSON, of any of these layouts.

    Raises:
        InputError: It is not there, or in none of the layouts.
    """
    root = _local(data)
    found = find_captions(root)
    if found is not None:
        images, captions = read_captions(found)
        return EvaluationData(images, [""], captions=captions)
    if _is_imagenet(root):
        return _read_imagenet(root)
    flat = _flat_folder(root)
    if flat is not None:
        return _read_numbered(flat)
    images = read_image_set(root)
    return EvaluationData(images, class_keys(images))


def read_part(
    folder: str | Path, keys: Sequence[str], *, role: str, per_class: int = 0
) -> ImageSet:
    """Other images of the same classes: to learn from, or to search.

    Args:
        folder: Class folders, or flat as GPR1200.
        keys: Of the evaluation set's classes. Classes that it lacks come after them.
        role: What the images are for, for messages.
        per_class: At most so many images of each class, by a fixed draw over file names; 0: all.

    Raises:
        InputError: It is not there, in neither layout, or shares no class with ``keys``.
    """
    root = _local(folder)
    if not root.is_dir():
        raise InputError(f"{role} not found: {root} is not a folder")
    flat = _flat_folder(root)
    groups = _numbered(flat) if flat is not None else _class_folders(root)
    if not groups:
        raise InputError(f"{role} {root} holds no class folder with images")
    if not set(groups) & set(keys):
        raise InputError(
            f"{role} {root} shares no class with the evaluation set: it has '{min(groups)}', "
            f"that has '{min(keys)}'; classes are matched by the names of their folders"
        )
    every = [*keys, *sorted(set(groups) - set(keys))]
    if per_class:
        groups = {key: drawn(paths, per_class) for key, paths in groups.items()}
    return _image_set({key: groups.get(key, ()) for key in every})


def drawn(paths: Sequence[Path], wanted: int) -> list[Path]:
    """``wanted`` of the files, sorted: a draw that depends on their names alone."""
    order = sorted(paths, key=lambda path: hash_bytes(path.name.encode()))
    return sorted(order[:wanted])


def _local(data: str | Path) -> Path:
    text = str(data)
    return Path(unquote(text.removeprefix("file://")) if text.startswith("file://") else text)


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _EXTENSIONS)


def _class_folders(root: Path) -> dict[str, list[Path]]:
    found = {entry.name: _images_in(entry) for entry in sorted(root.iterdir()) if entry.is_dir()}
    return {key: paths for key, paths in found.items() if paths}


def _is_imagenet(root: Path) -> bool:
    """Whether there is ``val``, and it is no class: classes hold images, not folders of them."""
    val = root / "val"
    if not val.is_dir():
        return False
    if _class_folders(val):
        return True
    if (root / "train").is_dir() and _images_in(val):
        raise InputError(
            f"{val} holds images without class folders; sort them into val/<synset>/ first "
            "(labels stand in ILSVRC's LOC_val_solution.csv)"
        )
    return False


def _read_imagenet(root: Path) -> EvaluationData:
    images = read_image_set(root / "val")
    keys = class_keys(images)
    if list(images.class_names) == [_told(key) for key in keys]:  # no classes.csv names them
        names = imagenet_names(root, keys)
        images = _named(images, [(names.get(key, key), "") for key in keys])
    train = root / "train"
    return EvaluationData(images, keys, train=train if train.is_dir() else None)


def class_keys(images: ImageSet) -> list[str]:
    """The folder of each class."""
    starts = np.searchsorted(images.labels, np.arange(len(images.class_names)))
    return [images.paths[start].parent.name for start in starts]


def _flat_folder(root: Path) -> Path | None:
    """The folder whose images lie side by side; None if there are class folders or no images."""
    if not root.is_dir():
        return None
    folders = _class_folders(root)
    if set(folders) == {"images"} and all(_NUMBERED.match(p.name) for p in folders["images"]):
        return root / "images"
    return root if not folders and _images_in(root) else None


def _numbered(flat: Path) -> dict[str, list[Path]]:
    """Class number to images, by number."""
    groups: dict[int, list[Path]] = {}
    for path in _images_in(flat):
        number = _NUMBERED.match(path.name)
        if number is None:
            raise InputError(
                f"{path} does not begin with a class number and an underscore, as GPR1200's files "
                "do; name it so, or sort the images into class folders"
            )
        groups.setdefault(int(number.group(1)), []).append(path)
    return {str(number): groups[number] for number in sorted(groups)}


def _read_numbered(flat: Path) -> EvaluationData:
    groups = _numbered(flat)
    names = numbered_names(flat, groups)
    are_gpr = max(map(int, groups)) < _GPR_CLASSES
    share = _GPR_CLASSES // len(_GPR_DOMAINS)
    domains = [_GPR_DOMAINS[int(key) // share] if are_gpr else "" for key in groups]
    told = [(names.get(key, key), domain) for key, domain in zip(groups, domains, strict=True)]
    return EvaluationData(_named(_image_set(groups), told), list(groups))


def _told(key: str) -> str:
    return key.replace("_", " ")


def _image_set(groups: Mapping[str, Sequence[Path]]) -> ImageSet:
    """Classes in the order of ``groups``, called by their folders."""
    paths = [path for group in groups.values() for path in group]
    labels = [index for index, group in enumerate(groups.values()) for _ in group]
    ids = [image_id(path.read_bytes()) for path in paths]
    unnamed = ImageSet(paths, np.asarray(labels, dtype=np.int64), (), (), ids, "")
    return _named(unnamed, [(_told(key), "") for key in groups])


def _named(images: ImageSet, names: Sequence[tuple[str, str]]) -> ImageSet:
    """With name and domain of each class, and the digest that `read_image_set` would give it."""
    return replace(
        images,
        class_names=[name for name, _ in names],
        domains=[domain for _, domain in names],
        digest=hash_json([list(names), images.labels.tolist(), list(images.image_ids)]),
    )


def without_copies(part: ImageSet, tested: ImageSet, *, role: str) -> ImageSet:
    """``part`` less the images that are tested on, byte by byte."""
    known = set(tested.image_ids)
    kept = [index for index, found in enumerate(part.image_ids) if found not in known]
    if len(kept) == len(part.image_ids):
        return part
    say(f"evaluate: {len(part.image_ids) - len(kept)} images of the {role} are tested on: left out")
    names = list(zip(part.class_names, part.domains, strict=True))
    return _named(
        replace(
            part,
            paths=[part.paths[index] for index in kept],
            labels=part.labels[kept],
            image_ids=[part.image_ids[index] for index in kept],
        ),
        names,
    )


def taken_out(images: ImageSet, per_class: int) -> npt.NDArray[np.int64]:
    """Indices of ``per_class`` images of each class, by the draw of `drawn`; one at least stays."""
    taken: list[int] = []
    for label in np.unique(images.labels):
        own = np.flatnonzero(images.labels == label).tolist()
        members = {images.paths[index]: index for index in own}
        wanted = min(per_class, len(members) - 1)
        taken += [members[path] for path in drawn(list(members), wanted)]
    return np.array(sorted(taken), dtype=np.int64)
