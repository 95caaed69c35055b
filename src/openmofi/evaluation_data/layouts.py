"""The one reader of evaluation sets, for all layouts, told apart by what lies in the folder.

Preflight accepts a set, assembly removes its images from training data, evaluation measures on it,
and the gate compares the digests of the two. All must mean the same images, so all read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openmofi.evaluation_data.captions import Captions, find_captions, read_captions
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.evaluation_data.gpr1200 import flat_folder, read_gpr1200
from openmofi.evaluation_data.image_set import ImageSet, class_keys, local_path
from openmofi.evaluation_data.imagenet import is_imagenet, read_imagenet


@dataclass(frozen=True)
class EvaluationData:
    """An evaluation set, and what its layout brings beside the images that are tested on.

    Attributes:
        images: What is tested on. With captions it is one class without a name.
        keys: What each class is called on disk: how other folders' classes are matched.
        train: Folder of training images, which are not tested on.
        captions: Texts of the images.
    """

    images: ImageSet
    keys: Sequence[str]
    train: Path | None = None
    captions: Captions | None = None


def read_evaluation_data(data: str | Path) -> EvaluationData:
    """Read a folder, or Karpathy's JSON, of any layout that a module of this room describes.

    Raises:
        InputError: It is not there, or in none of the layouts.
    """
    root = local_path(data)
    found = find_captions(root)
    if found is not None:
        images, captions = read_captions(found)
        return EvaluationData(images, [""], captions=captions)
    if is_imagenet(root):
        images, train = read_imagenet(root), root / "train"
        return EvaluationData(images, class_keys(images), train=train if train.is_dir() else None)
    flat = flat_folder(root)
    if flat is not None:
        return EvaluationData(*read_gpr1200(flat))
    images = read_class_folders(root)
    return EvaluationData(images, class_keys(images))
