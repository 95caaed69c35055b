"""Images that a set is not tested on: of other folders, or taken out of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.evaluation_data.gpr1200 import flat_folder, numbered
from openmofi.evaluation_data.image_set import (
    ImageSet,
    folders_in,
    local_path,
    make_image_set,
    named,
    told,
)
from openmofi.keys import hash_bytes
from openmofi.progress import say


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
    root = local_path(folder)
    if not root.is_dir():
        raise InputError(f"{role} not found: {root} is not a folder")
    flat = flat_folder(root)
    groups = numbered(flat) if flat is not None else folders_in(root)
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
    return make_image_set([groups.get(key, []) for key in every], [(told(k), "") for k in every])


def drawn(paths: Sequence[Path], wanted: int) -> list[Path]:
    """``wanted`` of the files, sorted: a draw that depends on their names alone."""
    order = sorted(paths, key=lambda path: hash_bytes(path.name.encode()))
    return sorted(order[:wanted])


def without_copies(part: ImageSet, tested: ImageSet, *, role: str) -> ImageSet:
    """``part`` less the images that are tested on, byte by byte."""
    known = set(tested.image_ids)
    kept = [index for index, found in enumerate(part.image_ids) if found not in known]
    if len(kept) == len(part.image_ids):
        return part
    say(f"evaluate: {len(part.image_ids) - len(kept)} images of the {role} are tested on: left out")
    names = list(zip(part.class_names, part.domains, strict=True))
    return named(
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
