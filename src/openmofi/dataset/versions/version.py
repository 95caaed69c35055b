"""A version of the data set as it lies in a store: format 2, described in docs/dataset.md.

The manifest is small whatever the number of shards: it names an index, a Parquet file with one row
a shard of the pool. Nothing in a version is changed once its manifest is there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from openmofi.dataset.versions.published import resolve
from openmofi.dataset.vocabulary import read_vocabulary
from openmofi.errors import InputError
from openmofi.keys import content_digest, hash_bytes, hash_json
from openmofi.records import from_parquet, to_parquet
from openmofi.storage import Store
from openmofi.versions import (
    Manifest,
    TableVersion,
    manifest_key,
    read_manifest,
    read_table_version,
    write_manifest,
)

KIND = "dataset"
FORMAT = 2

# Of every shard of the pool: what is in, and why the rest is not.
KEPT = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # "train" or "validation"
        pa.field("labels", pa.list_(pa.int32()), nullable=False),  # class indices, best first
    ]
)
DROPPED = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("cause", pa.string(), nullable=False),
    ]
)
_INDEX = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("kept", pa.int64(), nullable=False),
        pa.field("kept_key", pa.string(), nullable=False),
        pa.field("kept_digest", pa.string(), nullable=False),
        pa.field("dropped_key", pa.string(), nullable=False),
        pa.field("dropped_digest", pa.string(), nullable=False),
        pa.field("samples_key", pa.string(), nullable=False),
        pa.field("tar_key", pa.string(), nullable=False),
        pa.field("counts", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class DatasetShard:
    """What a version says of one shard of the pool; ``counts`` by cause add up to ``rows``."""

    shard: str
    rows: int
    kept: int
    kept_key: str
    kept_digest: str
    dropped_key: str
    dropped_digest: str
    samples_key: str
    tar_key: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Dataset:
    """A version, read piece by piece."""

    manifest: Manifest

    @property
    def store(self) -> Store:
        """Where it lies."""
        return self.manifest.store

    @property
    def content(self) -> Mapping[str, Any]:
        """The manifest's JSON."""
        return self.manifest.content

    @property
    def uri(self) -> str:
        """The manifest's address."""
        return self.manifest.uri

    @cached_property
    def shards(self) -> tuple[DatasetShard, ...]:
        """Of the whole pool, sorted by name."""
        rows = from_parquet(self.store.get(self.content["index"])).to_pylist()
        return tuple(DatasetShard(**{**r, "counts": json.loads(r["counts"])}) for r in rows)

    def kept(self, shard: DatasetShard) -> pa.Table:
        """Rows of a shard that are in, by `KEPT`."""
        return from_parquet(self.store.get(shard.kept_key))

    def dropped(self, shard: DatasetShard) -> pa.Table:
        """Rows of a shard that are not, by `DROPPED`."""
        return from_parquet(self.store.get(shard.dropped_key))

    def vocabulary(self) -> pa.Table:
        """By `records.VOCABULARY`."""
        return read_vocabulary(self.manifest)

    def tables(self, kind: str) -> TableVersion:
        """The table of the pool that it was assembled from, all groups of shards as one.

        Raises:
            InputError: No such table was given to assembly.
        """
        digest = self.content["table_digests"].get(kind)
        if digest is None:
            raise InputError(f"{self.uri} was assembled without {kind}")
        # By digest: the root may have been copied since.
        return read_table_version(f"{self.store.uri}/{manifest_key(kind, digest)}", kind)[1]

    def parent(self) -> "Dataset | None":
        """The version that it grew from."""
        return read_dataset(self.content["parent"]) if self.content["parent"] else None


def read_dataset(uri: str) -> Dataset:
    """A version by its manifest's URI, or by its published name as ``ROOT@main``.

    Raises:
        InputError: It is none, or of another format.
        StorageError: It is not there.
    """
    manifest = read_manifest(resolve(uri), KIND)
    found = manifest.content.get("format", 1)
    if found != FORMAT:
        raise InputError(
            f"{manifest.uri} is a data set of format {found}, this release reads {FORMAT}; "
            "assemble it again: no step before that is done anew"
        )
    return Dataset(manifest)


def write_index(store: Store, prefix: str, shards: Sequence[DatasetShard]) -> str:
    """Write the index of a version under ``prefix``; return its key."""
    rows = [{**asdict(one), "counts": json.dumps(one.counts, sort_keys=True)} for one in shards]
    key = f"{prefix}/index.parquet"
    store.put(key, to_parquet(pa.Table.from_pylist(rows, schema=_INDEX)))
    return key


def write_version(store: Store, digest: str, content: Mapping[str, Any]) -> str:
    """Write a version's manifest after all that it names; return its URI.

    It gets a hash of each file that is no shard's (``files``), and one of itself (``checksum``).
    """
    named = [content.get(name) for name in ("index", "vocabulary", "card", "changes")]
    files = {key: hash_bytes(store.get(key)) for key in named if key}
    body = {**content, "files": files}
    return write_manifest(store, KIND, digest, {**body, "checksum": hash_json(body)}).uri


def digest_of(shards: Sequence[DatasetShard], vocabulary: pa.Table) -> str:
    """The content digest: the same rows, splits, labels, causes and classes give the same."""
    parts = [[one.shard, one.kept_digest, one.dropped_digest] for one in shards]
    return hash_json([parts, content_digest(vocabulary)])
