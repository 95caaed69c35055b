"""The pictures of a sheet: small copies with their alt texts, from a folder of tars or a store."""

import base64
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image as Pillow

from openmofi.errors import InputError
from openmofi.images import ImageProblemError, decode_image
from openmofi.ingest.sources import IMAGE_EXTENSIONS
from openmofi.labeling.quality.samples import Image
from openmofi.progress import bar
from openmofi.records import from_parquet
from openmofi.shards import TarReader, index_tar
from openmofi.storage import Store
from openmofi.tombstones import read_tombstones
from openmofi.work import Work

_SIDE = 288  # pixels of the longer side: enough to tell what is shown, 500 in about 10 MB
_QUALITY = 80

_Found = Iterator[tuple[Image, bytes, str]]


class Picture(NamedTuple):
    """What a sheet shows of an image."""

    data_uri: str
    alt_text: str


def pictures_of_tars(folder: Path, images: Collection[Image]) -> dict[Image, Picture]:
    """Pictures from ``<shard>.tar`` in a folder; those that do not decode are left out.

    Raises:
        InputError: A tar, or an image in it, is not there.
        ShardError: A tar is cut short.
    """
    for shard in sorted({shard for shard, _ in images}):
        if not (folder / f"{shard}.tar").is_file():
            raise InputError(f"{folder} has no {shard}.tar, and the labels name images in it")
    return _pictures(images, _in_tars(folder, set(images)), str(folder))


def pictures_of_store(
    store: Store, work: Mapping[str, Work], images: Collection[Image]
) -> dict[Image, Picture]:
    """Pictures from a pool, one ranged get each.

    Those that do not decode are left out, and those that were taken down.

    Args:
        store: The pool's.
        work: With its ``samples`` table, by shard.
        images: Those wanted.

    Raises:
        InputError: An image is not in the samples.
        StorageError: The store cannot be read.
    """
    return _pictures(images, _in_pool(store, work, set(images)), store.uri)


def _in_tars(folder: Path, wanted: set[Image]) -> _Found:
    for shard in sorted({shard for shard, _ in wanted}):
        path = folder / f"{shard}.tar"
        with TarReader(path) as tar:
            for one in index_tar(path):
                extension = next((e for e in one.members if e in IMAGE_EXTENSIONS), None)
                if (shard, one.key) in wanted and extension:
                    data, text = (
                        tar.read(one.members[e].offset, one.members[e].length)
                        if e in one.members
                        else b""
                        for e in (extension, "txt")
                    )
                    yield (shard, one.key), data, text.decode("utf-8", "replace").strip()


def _in_pool(store: Store, work: Mapping[str, Work], wanted: set[Image]) -> _Found:
    tombstones = read_tombstones(store)
    for shard in sorted({shard for shard, _ in wanted}):
        samples = from_parquet(store.get(work[shard].tables["samples"]))
        columns = ("key", "offset", "length", "alt_text")
        for key, offset, length, text, gone in zip(
            *(samples.column(name).to_pylist() for name in columns),
            tombstones.rows(samples).tolist(),
            strict=True,
        ):
            if (shard, key) in wanted and gone:
                yield (shard, key), b"", ""  # which does not decode
            elif (shard, key) in wanted:
                yield (shard, key), store.get_range(work[shard].tar_key, offset, length), text


def _pictures(images: Collection[Image], found: _Found, where: str) -> dict[Image, Picture]:
    pictures, seen = {}, set()
    for image, data, text in bar(found, label="pictures", unit="image", total=len(images)):
        seen.add(image)
        try:
            pictures[image] = Picture(_data_uri(data), text)
        except ImageProblemError:
            continue
    for image in images:
        if image not in seen:
            raise InputError(f"{where} has no image '{'/'.join(image)}', which the labels name")
    return pictures


def _data_uri(data: bytes) -> str:
    """A JPEG of at most 288 pixels a side, without the original's metadata."""
    picture = decode_image(data)
    picture.thumbnail((_SIDE, _SIDE), Pillow.Resampling.LANCZOS)
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"
