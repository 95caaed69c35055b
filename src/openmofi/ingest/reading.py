"""The samples of one source shard, as bytes and texts, in a fixed order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
from pyarrow import compute

from openmofi.errors import ShardError
from openmofi.images import image_id
from openmofi.ingest.location import Location
from openmofi.ingest.sources import IMAGE_EXTENSIONS, SourceShard
from openmofi.ingest.texts import Texts, read_texts
from openmofi.keys import hash_file
from openmofi.records import from_parquet, read_parquet
from openmofi.shards import TarReader, TarSample, index_tar
from openmofi.storage import Store

# https://github.com/rom1504/img2dataset, downloader.download_image
_REFUSED = "Use of image disallowed"


@dataclass(frozen=True)
class RawSample:
    """One sample as the source has it; ``image`` is None where there is none."""

    name: str
    extension: str
    image: bytes | None
    texts: Texts
    taken_down: bool = False  # when the source was planned already


def read_samples(store: Store, shard: SourceShard) -> Iterator[RawSample]:
    """Every sample of a shard.

    Raises:
        ShardError: The tar is unreadable, or the source is not what was planned.
    """
    return _read_tar(shard) if shard.tar else _read_listing(store, shard)


def _read_tar(shard: SourceShard) -> Iterator[RawSample]:
    location = Location(shard.location)
    with location.local_file(shard.tar) as path:
        try:
            samples = index_tar(path)
            if hash_file(path) != shard.fingerprint:
                raise _changed(shard, shard.tar)
            with TarReader(path) as tar:
                for sample in samples:
                    yield _raw_sample(tar, sample)
        except ShardError as error:
            # The user knows the source, not the local copy of it.
            known = str(error).replace(str(path), f"{shard.location}/{shard.tar}")
            raise ShardError(known) from error


def _raw_sample(tar: TarReader, sample: TarSample) -> RawSample:
    extension = next((e for e in sample.members if e in IMAGE_EXTENSIONS), "")
    wanted = {
        name: tar.read(sample.members[name].offset, sample.members[name].length)
        for name in (extension, "txt", "json")
        if name in sample.members
    }
    texts = read_texts(wanted.get("txt"), wanted.get("json"))
    return RawSample(sample.key, extension, wanted.get(extension), texts)


def _read_listing(store: Store, shard: SourceShard) -> Iterator[RawSample]:
    location = Location(shard.location)
    for row in from_parquet(store.get(shard.listing)).to_pylist():
        name = row["image"] or ""
        image = None
        gone = row["hash"] is not None and not name  # see `sources.without_taken_down`
        if row["hash"] is not None and not gone:
            image = location.get(name)
            if image_id(image) != row["hash"]:
                raise _changed(shard, name)
        texts = Texts(row["alt_text"], row["title"], row["url"], row["licence"], row["no_ai"])
        path = PurePosixPath(name or "unnamed")
        extension = path.suffix.lower()[1:]
        yield RawSample(str(path.with_suffix("")), extension, image, texts, gone)


def count_refused(shard: SourceShard) -> int | None:
    """How many pictures of a tar img2dataset left out, since a robots' tag forbids to use them.

    They stand in the Parquet file beside the tar alone, each row with its ``error_message``. None
    where there is no such file.
    """
    location = Location(shard.location)
    name = f"{shard.tar.removesuffix('.tar')}.parquet"
    if not shard.tar or not location.exists(name):
        return None
    with location.local_file(name) as path:
        try:
            table = read_parquet(path, columns=["error_message"])
            starts = compute.starts_with(table.column("error_message"), _REFUSED)
        except (pa.ArrowException, KeyError, OSError):
            return None  # a file of another kind
    return int(compute.sum(starts).as_py() or 0)


def _changed(shard: SourceShard, name: str) -> ShardError:
    return ShardError(f"{shard.location}/{name} has changed since it was planned; plan again")
