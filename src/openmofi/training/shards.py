"""Training shards as they lie on this machine: checked tars, index tables, vocabulary."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from openmofi.errors import InputError, ShardError
from openmofi.keys import hash_file
from openmofi.records import TRAINING_SAMPLES, VOCABULARY, checked, empty, from_parquet
from openmofi.storage import Store
from openmofi.versions import Manifest


@dataclass(frozen=True)
class TrainingShards:
    """The training split.

    Args:
        tars: One local file a shard.
        rows: Samples of each.
        samples: Index tables of all shards, one after the other (`TRAINING_SAMPLES`).
        vocabulary: Class ``i`` in row ``i``; no rows where nothing is labelled.
    """

    tars: tuple[Path, ...]
    rows: tuple[int, ...]
    samples: pa.Table
    vocabulary: pa.Table

    @property
    def classes(self) -> int:
        """Size of the vocabulary."""
        return int(self.vocabulary.num_rows)


@contextlib.contextmanager
def open_shards(manifest: Manifest) -> Iterator[TrainingShards]:
    """The training split of a ``training_shards`` manifest, for the block's time.

    Every tar is hashed before it is used.

    Raises:
        InputError: There is no sample, or the vocabulary has gaps.
        ShardError: A tar is not what the manifest says.
        StorageError: Something is missing.
    """
    entries = manifest.content["splits"].get("train", [])
    tables = [_read(manifest.store, entry["index_key"], TRAINING_SAMPLES) for entry in entries]
    if not sum(len(table) for table in tables):
        raise InputError(f"{manifest.uri} has no training sample; look at the data set's counts")
    with contextlib.ExitStack() as stack:
        tars = []
        for entry in entries:
            path = stack.enter_context(manifest.store.local_file(entry["tar_key"]))
            if hash_file(path) != entry["digest"]:
                raise ShardError(
                    f"{manifest.store.uri}/{entry['tar_key']} is not what {manifest.uri} names: "
                    "its digest differs; build the shards again"
                )
            tars.append(path)
        yield TrainingShards(
            tuple(tars),
            tuple(len(table) for table in tables),
            pa.concat_tables(tables),
            _vocabulary(manifest),
        )


def _vocabulary(manifest: Manifest) -> pa.Table:
    key = manifest.content.get("vocabulary", "")
    if not key:
        return empty(VOCABULARY)
    table = _read(manifest.store, key, VOCABULARY)
    if table.column("class_index").to_pylist() != list(range(table.num_rows)):
        raise InputError(f"{manifest.store.uri}/{key}: class indices must be 0, 1, 2 … in order")
    return table


def _read(store: Store, key: str, schema: pa.Schema) -> pa.Table:
    table = from_parquet(store.get(key))
    try:
        return checked(table.select(schema.names), schema)
    except (ValueError, KeyError) as error:
        raise InputError(f"{store.uri}/{key}: {error}") from error
