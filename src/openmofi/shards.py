"""WebDataset tars with offsets: read in one pass, written deterministically, sampled by range."""

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from openmofi.errors import ShardError

_BLOCK = 512


@dataclass(frozen=True)
class Member:
    """Where one file's bytes lie in a tar."""

    offset: int
    length: int


@dataclass(frozen=True)
class TarSample:
    """One sample: its key, and its members by extension without the dot (``jpg``, ``txt``)."""

    key: str
    members: Mapping[str, Member]


def index_tar(path: Path) -> list[TarSample]:
    """The samples of a tar in tar order.

    WebDataset's rule: members with the same name up to the first dot of the base name are one
    sample, and they stand together.

    Raises:
        ShardError: The tar is unreadable or cut short; the message names the file.
    """
    samples: list[tuple[str, dict[str, Member]]] = []
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if info.size < 0 or info.offset_data + info.size > size:
                    raise ShardError(f"{path} is cut short inside '{info.name}'")
                if info.isfile():
                    _add_member(samples, info)
            ending = tar.offset
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ShardError(f"{path} is not a readable tar: {error}") from error
    if not _has_end_mark(path, ending):
        raise ShardError(f"{path} is cut short: it has no end-of-archive mark")
    return [TarSample(key, members) for key, members in samples]


def _add_member(samples: list[tuple[str, dict[str, Member]]], info: tarfile.TarInfo) -> None:
    folder, slash, name = info.name.rpartition("/")
    stem, _, extension = name.partition(".")
    key = f"{folder}{slash}{stem}"
    if not samples or samples[-1][0] != key:
        samples.append((key, {}))
    samples[-1][1][extension.lower()] = Member(info.offset_data, info.size)


def _has_end_mark(path: Path, ending: int) -> bool:
    """Whether a block of zeros closes the archive. A cut between two members leaves none."""
    with path.open("rb") as file:
        # tarfile stops before the first block of zeros, before what is no header, or at the end.
        file.seek(ending)
        return file.read(_BLOCK) == bytes(_BLOCK)


def write_tar(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> list[TarSample]:
    """Write samples in the given order; the same input gives the same bytes.

    Args:
        path: The tar to write.
        samples: Key, and content by extension, members in the order of the mapping.

    Returns:
        The samples with the offsets of their members.

    Raises:
        ValueError: A key's base name holds a dot, at which a reader would cut it.
    """
    written = []
    with tarfile.open(path, "w:", format=tarfile.USTAR_FORMAT) as tar:
        for key, contents in samples:
            if "." in key.rpartition("/")[2]:
                raise ValueError(f"key {key!r} has a dot in its base name")
            members = {}
            for extension, data in contents.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(data)
                info.mode = 0o644
                start = tar.offset + _BLOCK
                tar.addfile(info, io.BytesIO(data))
                members[extension] = Member(start, len(data))
            written.append(TarSample(key, members))
    return written


def wrong_digest(name: str, origin: str) -> ShardError:
    """The error for a training tar that is not the one that was built."""
    return ShardError(
        f"{name} is not what {origin} names: its digest differs; build the shards again"
    )


class TarReader:
    """Reads members of a local tar by offset."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")

    def __enter__(self) -> "TarReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of one member.

        Raises:
            ShardError: The tar ends before them.
        """
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise ShardError(f"{self._path} is cut short at byte {offset + len(data)}")
        return data

    def members(self, samples: Iterable[TarSample]) -> Iterator[tuple[TarSample, dict[str, bytes]]]:
        """Each sample with its members' bytes."""
        for sample in samples:
            yield sample, {e: self.read(m.offset, m.length) for e, m in sample.members.items()}
