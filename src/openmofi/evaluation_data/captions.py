"""Images with captions in Karpathy's JSON: COCO and Flickr30k, test split.

``dataset_coco.json`` names each image by ``filepath`` and ``filename``, ``dataset_flickr30k.json``
by ``filename`` alone; both give its ``split`` and its ``sentences``. The first five captions of an
image count: a few of COCO's have more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.evaluation_data.image_set import ImageSet
from openmofi.images import image_id
from openmofi.keys import hash_json

CAPTIONS = 5  # an image
_SPLIT = "test"


@dataclass(frozen=True)
class Captions:
    """Texts of images.

    Attributes:
        texts: All captions, image by image.
        owners: [texts] index of each one's image.
    """

    texts: Sequence[str]
    owners: npt.NDArray[np.int64]


def find_captions(data: Path) -> Path | None:
    """Karpathy's JSON, given itself or by its folder; None if the folder has none.

    Raises:
        InputError: The file is not there, or the folder has several.
    """
    if data.suffix.lower() == ".json":
        if not data.is_file():
            raise InputError(f"captions file not found: {data}")
        return data
    found = sorted(data.glob("dataset_*.json")) if data.is_dir() else []
    if len(found) > 1:
        raise InputError(f"{data} holds {found[0].name} and {found[1].name}; give one by its name")
    return found[0] if found else None


def read_captions(path: Path) -> tuple[ImageSet, Captions]:
    """The test split's images, sorted by the file, and their captions.

    Images are looked for beside the JSON and in the folders beside it.

    Raises:
        InputError: The file is not in Karpathy's layout, or an image is not there.
    """
    rows = [row for row in _rows(path) if row.get("split") == _SPLIT]
    if not rows:
        raise InputError(
            f"{path} has no image of the split '{_SPLIT}': Karpathy's JSON is needed, not COCO's "
            "own annotations"
        )
    texts, owners = [], []
    for index, row in enumerate(rows):
        own = _captions(path, row)
        texts += own
        owners += [index] * len(own)
    paths = _images(path, rows)
    ids = [image_id(image.read_bytes()) for image in paths]
    images = ImageSet(
        paths=paths,
        labels=np.zeros(len(paths), dtype=np.int64),
        class_names=[""],
        domains=[""],
        image_ids=ids,
        digest=hash_json([ids, texts, owners]),
    )
    return images, Captions(texts, np.asarray(owners, dtype=np.int64))


def _rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    rows = content.get("images") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            f"{path} is not in Karpathy's layout: it lacks the list 'images', one object an image"
        )
    return rows


def _captions(path: Path, row: Mapping[str, Any]) -> list[str]:
    sentences = row.get("sentences")
    if not isinstance(sentences, list) or not sentences:
        raise InputError(f"{path}: the image {row.get('filename')!r} has no 'sentences'")
    texts = [one.get("raw") if isinstance(one, dict) else None for one in sentences[:CAPTIONS]]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(f"{path}: a sentence of {row.get('filename')!r} has no 'raw' text")
    return [str(text).strip() for text in texts]


def _images(path: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    names = []
    for row in rows:
        if not isinstance(row.get("filename"), str) or not row["filename"]:
            raise InputError(f"{path}: an image of the split '{_SPLIT}' has no 'filename'")
        names.append(Path(row.get("filepath") or "", row["filename"]))
    home = path.parent
    places = [home, *sorted(entry for entry in home.iterdir() if entry.is_dir())]
    # COCO unpacked to val2014/, or all images in a folder of any name.
    ways = [(place, whole) for place in places for whole in (True, False)]
    for place, whole in ways:
        paths = [place / (name if whole else name.name) for name in names]
        if paths[0].is_file():
            missing = next((image for image in paths if not image.is_file()), None)
            if missing is not None:
                raise InputError(f"{path} names an image that is not there: {missing}")
            return paths
    raise InputError(
        f"the images of {path} are not found: {names[0]} is neither beside it nor in a folder "
        "beside it"
    )
