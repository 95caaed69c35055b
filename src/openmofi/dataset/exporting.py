"""What exports share: a folder that appears whole or not at all, and the samples to put there."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from openmofi.dataset.reading import read_index
from openmofi.dataset.training_shards import SPLITS
from openmofi.errors import InputError, ShardError
from openmofi.files import new_folder
from openmofi.keys import hash_file
from openmofi.shards import TarReader, index_tar, wrong_digest
from openmofi.versions import Manifest


@dataclass(frozen=True)
class ExportShard:
    """A training shard that has samples to export: its tar, and their rows of the index."""

    tar_key: str
    digest: str
    samples: pa.Table  # TRAINING_SAMPLES


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """`files.new_folder`, where nothing is yet.

    Raises:
        InputError: ``out`` is there already, or cannot be written.
    """
    if os.path.lexists(out):
        raise InputError(f"{out} is there already; name a new folder, or remove it")
    with new_folder(out) as folder:
        yield folder


def export_shards(manifest: Manifest) -> dict[str, list[ExportShard]]:
    """The shards of each split, in order, without what was taken down.

    Raises:
        InputError: There is no sample at all.
    """
    found: dict[str, list[ExportShard]] = {}
    for split in SPLITS:
        entries = manifest.content["splits"].get(split, [])
        found[split] = [
            ExportShard(entry["tar_key"], entry["digest"], table)
            for entry, table in zip(entries, read_index(manifest, split), strict=True)
            if table.num_rows
        ]
    if not any(found.values()):
        raise InputError(f"{manifest.uri} has no sample; look at the data set's counts")
    return found


def read_samples(
    manifest: Manifest, shard: ExportShard
) -> Iterator[tuple[Mapping[str, Any], dict[str, bytes]]]:
    """Each sample's row of the index, and its files by extension, the picture first.

    Raises:
        ShardError: The tar is not what the manifest says.
    """
    rows = {row["key"]: row for row in shard.samples.to_pylist()}
    name = f"{manifest.store.uri}/{shard.tar_key}"
    with manifest.store.local_file(shard.tar_key) as path:
        if hash_file(path) != shard.digest:
            raise wrong_digest(name, manifest.uri)
        wanted = [sample for sample in index_tar(path) if sample.key in rows]
        if len(wanted) != len(rows):
            raise ShardError(f"{name} and its index differ; build the shards again")
        with TarReader(path) as tar:
            for sample, files in tar.members(wanted):
                yield rows[sample.key], files
