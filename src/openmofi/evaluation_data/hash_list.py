"""An evaluation set as a list of hashes, for assembly where its pictures may not be.

    # openmofi evaluation hashes 1
    set 977ac8b0def75c6a1957f2a7f3dde6c0
    0a41c3…  f0e1…        image id and perceptual hash in hex; "-" where it does not decode
    end 5d1e…             hash of all lines above, so that half a list is none

It names the set by the digest that evaluation gives it, so the gate knows what was held out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from openmofi.errors import InputError
from openmofi.evaluation_data.image_set import ImageSet, local_path
from openmofi.images import ImageProblemError, decode_image, perceptual_hash
from openmofi.keys import hash_bytes
from openmofi.progress import bar

_HEAD = "# openmofi evaluation hashes 1"
_NONE = "-"


@dataclass(frozen=True)
class HashList:
    """What assembly needs of an evaluation set.

    ``digest`` is the set's, ``hashes`` are perceptual ones of all images that decode.
    """

    digest: str
    image_ids: tuple[str, ...]
    hashes: tuple[int, ...]


def is_hash_list(data: str | Path) -> bool:
    """Whether a path can only be a list: no other layout is a text file."""
    return PurePath(data).suffix == ".txt"


def picture_hash(path: Path) -> int | None:
    """The perceptual hash of a picture; None if it does not decode."""
    try:
        return perceptual_hash(decode_image(path.read_bytes()))
    except ImageProblemError:
        return None


def hash_list_text(images: ImageSet) -> tuple[str, int]:
    """The list of a set, and how many of its pictures do not decode."""
    hashes = [picture_hash(path) for path in bar(images.paths, label="hashes", unit="image")]
    rows = zip(images.image_ids, hashes, strict=True)
    lines = [f"{one} {_NONE if found is None else f'{found:016x}'}" for one, found in rows]
    body = "\n".join([_HEAD, f"set {images.digest}", *lines])
    return f"{body}\nend {hash_bytes(body.encode())}\n", hashes.count(None)


def read_hash_list(data: str | Path) -> HashList:
    """Read what `hash_list_text` has made.

    Raises:
        InputError: It is not there, is no such list, or was changed since.
    """
    path = local_path(data)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"evaluation set {path} cannot be read as a list of hashes") from None
    body, _, end = text.rstrip("\n").rpartition("\n")
    lines = body.split("\n")
    if lines[0] != _HEAD or len(lines) < 3 or not lines[1].startswith("set "):
        raise InputError(
            f"evaluation set {path} is no list of hashes; 'openmofi evaluate hashes' writes one"
        )
    if end != f"end {hash_bytes(body.encode())}":
        raise InputError(f"evaluation set {path} is not as it was written; write the list again")
    return _parsed(lines[1].removeprefix("set "), [line.split(" ") for line in lines[2:]])


def _parsed(digest: str, rows: Sequence[Sequence[str]]) -> HashList:
    hashes = tuple(int(found, 16) for _, found in rows if found != _NONE)
    return HashList(digest, tuple(one for one, _ in rows), hashes)
