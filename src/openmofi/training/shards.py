"""Training shards for a run: tars, index tables, vocabulary."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from posixpath import commonpath, dirname
from typing import Any

import pyarrow as pa
from pyarrow import compute

from openmofi.dataset.takedown.forgotten import without_forgotten
from openmofi.errors import InputError, ShardError, StorageError
from openmofi.keys import hash_file
from openmofi.records import TRAINING_SAMPLES, VOCABULARY, checked, empty, from_parquet
from openmofi.shards import wrong_digest
from openmofi.storage import Store
from openmofi.store_wait import mapped
from openmofi.tombstones import read_tombstones
from openmofi.training.tars import HeldTars, StoredTar, StreamedTars, Tars, shared_folder
from openmofi.versions import Manifest

_READERS = 16  # requests at once for the index tables


@dataclass(frozen=True)
class TrainingShards:
    """The training split.

    Args:
        tars: One a shard.
        rows: Samples of each.
        samples: Index tables of all shards, one after the other (`TRAINING_SAMPLES`).
        vocabulary: Class ``i`` in row ``i``; no rows where nothing is labelled.
    """

    tars: Tars
    rows: tuple[int, ...]
    samples: pa.Table
    vocabulary: pa.Table

    @property
    def classes(self) -> int:
        """Size of the vocabulary."""
        return int(self.vocabulary.num_rows)


@contextlib.contextmanager
def open_shards(manifest: Manifest, *, streamed: bool = False) -> Iterator[TrainingShards]:
    """The training split of a ``training_shards`` manifest, for the block's time.

    What was taken down since they were built is not in it; see `forgotten`.

    Every tar is hashed before it is used: all of them now, or, streamed, each one when the run
    comes to it; see `StreamedTars`. Streamed ones are listed now, so that a missing tar, or one
    that ends before its last image, is found before the first step.

    Raises:
        InputError: There is no sample, or the vocabulary has gaps.
        ShardError: A tar is not what the manifest says.
        StorageError: Something is missing.
    """
    entries = manifest.content["splits"].get("train", [])
    tables = without_forgotten(manifest, _tables(manifest.store, entries))
    # As if a compaction had taken the empty ones away.
    entries = [entry for entry, table in zip(entries, tables, strict=True) if table.num_rows]
    tables = [table for table in tables if table.num_rows]
    if not sum(len(table) for table in tables):
        raise InputError(f"{manifest.uri} has no training sample; look at the data set's counts")
    vocabulary = _vocabulary(manifest)
    with (_streamed if streamed else _held)(manifest, entries, tables) as tars:
        rows = tuple(len(table) for table in tables)
        yield TrainingShards(tars, rows, pa.concat_tables(tables), vocabulary)


def forgotten(manifest: Manifest) -> list[str]:
    """Uids of training samples that have been taken down, sorted; before and after a compaction.

    They are part of a run's recipe: a run on other samples is another one, and must not go on at
    its checkpoints.
    """
    removed = set(manifest.content.get("removed", {}).get("train", []))
    if read_tombstones(manifest.store):
        tables = _tables(manifest.store, manifest.content["splits"].get("train", []))
        for table, left in zip(tables, without_forgotten(manifest, tables), strict=True):
            removed.update(table.column("uid").to_pylist())
            removed.difference_update(left.column("uid").to_pylist())
    return sorted(removed)


@contextlib.contextmanager
def _held(
    manifest: Manifest, entries: Sequence[Mapping[str, Any]], _: Sequence[pa.Table]
) -> Iterator[Tars]:
    """Every tar, here and checked."""
    with contextlib.ExitStack() as stack:
        names, paths = [], []
        for entry in entries:
            path = stack.enter_context(manifest.store.local_file(entry["tar_key"]))
            names.append(f"{manifest.store.uri}/{entry['tar_key']}")
            if hash_file(path) != entry["digest"]:
                raise wrong_digest(names[-1], manifest.uri)
            paths.append(path)
        yield HeldTars(names, paths)


@contextlib.contextmanager
def _streamed(
    manifest: Manifest, entries: Sequence[Mapping[str, Any]], tables: Sequence[pa.Table]
) -> Iterator[Tars]:
    """Every tar, where it will be fetched from."""
    keys = [entry["tar_key"] for entry in entries]
    # One listing rather than a request a tar.
    folder = commonpath([dirname(key) for key in keys])
    listed = manifest.store.list(f"{folder}/" if folder else "")
    sizes = {info.key: info.size for info in listed}
    if missing := [key for key in keys if key not in sizes]:
        raise StorageError(
            f"{manifest.store.uri}/{missing[0]} is missing ({len(missing)} of {len(keys)} tars "
            f"are), and {manifest.uri} names it; build the shards again"
        )
    for key, table in zip(keys, tables, strict=True):
        end = compute.max(compute.add(table.column("offset"), table.column("length"))).as_py()
        if sizes[key] < (end or 0):
            raise ShardError(
                f"{manifest.store.uri}/{key} is cut short: it has {sizes[key]} bytes, and its "
                f"last image ends at {end}; build the shards again"
            )
    tars = [StoredTar(e["tar_key"], e["digest"], sizes[e["tar_key"]]) for e in entries]
    with shared_folder(manifest.digest) as folder:
        streamed = StreamedTars(manifest.store, tars, folder, manifest.uri)
        try:
            yield streamed
        finally:
            streamed.close()


def _tables(store: Store, entries: Sequence[Mapping[str, Any]]) -> list[pa.Table]:
    """The index table of each shard."""
    with ThreadPoolExecutor(_READERS) as pool:
        keys = [entry["index_key"] for entry in entries]
        return list(mapped(pool, lambda key: _read(store, key, TRAINING_SAMPLES), keys))


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
