"""Pictures in one file, as in a tar."""

from collections.abc import Sequence
from pathlib import Path

from openmofi.labeling.decoding import Picture


def written(path: Path, images: Sequence[bytes]) -> list[Picture]:
    """Write the images one after the other; where they are."""
    places, start = [], 0
    for data in images:
        places.append(Picture(str(path), start, len(data)))
        start += len(data)
    path.write_bytes(b"".join(images))
    return places
