"""Images with class labels, known by one digest over names, labels and content."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from openmofi.images import image_id
from openmofi.inputs import fetched, is_on_s3
from openmofi.keys import hash_json

_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}

Names = Sequence[tuple[str, str]]  # name and domain, one a class


@dataclass(frozen=True)
class ImageSet:
    """Images with class labels, sorted by class, then by file name."""

    paths: Sequence[Path]
    labels: npt.NDArray[np.int64]  # [images], index into class_names
    class_names: Sequence[str]
    domains: Sequence[str]  # one a class; "" where none is known
    image_ids: Sequence[str]
    digest: str


def make_image_set(groups: Sequence[Sequence[Path]], names: Names) -> ImageSet:
    """Read the images of each class.

    Args:
        groups: Files by class; a class may have none.
        names: Of the same classes.
    """
    paths = [path for group in groups for path in group]
    labels = [index for index, group in enumerate(groups) for _ in group]
    ids = [image_id(path.read_bytes()) for path in paths]
    return named(ImageSet(paths, np.asarray(labels, dtype=np.int64), (), (), ids, ""), names)


def named(images: ImageSet, names: Names) -> ImageSet:
    """With other names, and the digest that goes with them."""
    return replace(
        images,
        class_names=[name for name, _ in names],
        domains=[domain for _, domain in names],
        digest=hash_json([list(names), images.labels.tolist(), list(images.image_ids)]),
    )


def told(key: str) -> str:
    """What a class is called whose folder nothing names."""
    return key.replace("_", " ")


def class_keys(images: ImageSet) -> list[str]:
    """The folder of each class."""
    starts = np.searchsorted(images.labels, np.arange(len(images.class_names)))
    return [images.paths[start].parent.name for start in starts]


def images_in(folder: Path) -> list[Path]:
    """The files that look like images, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _EXTENSIONS)


def folders_in(root: Path) -> dict[str, list[Path]]:
    """Folders that hold images, with them, by name."""
    found = {entry.name: images_in(entry) for entry in sorted(root.iterdir()) if entry.is_dir()}
    return {key: paths for key, paths in found.items() if paths}


def local_path(data: str | Path) -> Path:
    """Of a path or a ``file://`` URI; of ``s3://``, a copy in the cache."""
    text = str(data)
    if is_on_s3(text):
        return fetched(text)
    return Path(unquote(text.removeprefix("file://")) if text.startswith("file://") else text)
