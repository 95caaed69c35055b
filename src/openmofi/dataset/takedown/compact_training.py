"""Training shards without what was taken down, under new names: readers may have the old ones."""

import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute

from openmofi.dataset.takedown.rewriting import Rewriting
from openmofi.keys import hash_file, hash_json
from openmofi.records import from_parquet, to_parquet
from openmofi.shards import TarReader, TarSample, index_tar, write_tar
from openmofi.versions import Manifest, read_manifests

KIND = "training_shards"


def compact_training_shards(rewriting: Rewriting, uids: Collection[str]) -> int:
    """Rewrite every shard that holds one of these samples; return how many did."""
    gone = pa.array(sorted(uids), pa.string())
    published = list(read_manifests(rewriting.store, KIND))
    rewritten = sum(_compact_set(rewriting, manifest, gone) for manifest in published)
    _remove_unfinished(rewriting, {manifest.digest for manifest in published}, gone)
    return rewritten


def _compact_set(rewriting: Rewriting, manifest: Manifest, gone: pa.Array) -> int:
    """New shards first, then the manifest in one write, then the old ones go."""
    content: dict[str, Any] = {**manifest.content}
    removed = {split: set(some) for split, some in content.get("removed", {}).items()}
    splits: dict[str, list[dict[str, Any]]] = {}
    rewritten = 0
    for split, entries in content["splits"].items():
        splits[split] = []
        for entry in entries:
            index = from_parquet(rewriting.store.get(entry["index_key"]))
            hits = compute.is_in(index.column("uid"), value_set=gone)
            taken = index.column("uid").filter(hits).to_pylist()
            left = _rewrite(rewriting, entry, index, hits, taken) if taken else entry
            rewritten += bool(taken)
            removed.setdefault(split, set()).update(taken)
            splits[split] += [left] if left["rows"] else []
    if rewritten:
        content |= {
            "splits": splits,
            "rows": {split: sum(e["rows"] for e in some) for split, some in splits.items()},
            "removed": {split: sorted(some) for split, some in removed.items()},
        }
        key = manifest.uri.removeprefix(f"{rewriting.store.uri}/")
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        rewriting.put(key, text.encode())
    _remove_unnamed(rewriting, manifest.digest, splits)
    return rewritten


def _rewrite(
    rewriting: Rewriting,
    entry: Mapping[str, Any],
    index: pa.Table,
    hits: pa.ChunkedArray,
    taken: Sequence[str],
) -> dict[str, Any]:
    """The entry of a new shard, whose samples keep their keys; of an empty one no object is made.

    The tar is written as `build_shards` writes it, so its bytes tell nothing of what was there.
    """
    folder, _, name = entry["tar_key"].rpartition("/")
    prefix = f"{folder}/{name.split('.')[0]}.{hash_json([entry['digest'], sorted(taken)])[:8]}"
    rest = index.filter(compute.invert(hits))
    made: dict[str, Any] = {
        "tar_key": f"{prefix}.tar",
        "index_key": f"{prefix}.parquet",
        "rows": rest.num_rows,
    }
    if not rest.num_rows:
        return made
    keys = set(rest.column("key").to_pylist())
    with tempfile.TemporaryDirectory(prefix="openmofi-compact-") as temporary:
        path = Path(temporary, "shard.tar")
        with rewriting.store.local_file(entry["tar_key"]) as old, TarReader(old) as tar:
            left = [sample for sample in index_tar(old) if sample.key in keys]
            written = write_tar(path, ((s.key, files) for s, files in tar.members(left)))
        made["digest"] = hash_file(path)
        rewriting.put_file(made["tar_key"], path)
    rewriting.put(made["index_key"], to_parquet(_moved(rest, written)))
    rewriting.put(f"{prefix}.json", json.dumps(made, sort_keys=True).encode())
    return made


def _moved(index: pa.Table, written: Sequence[TarSample]) -> pa.Table:
    """The index with the offsets of the new tar."""
    starts = [next(iter(sample.members.values())).offset for sample in written]
    place = index.schema.get_field_index("offset")
    return index.set_column(place, index.schema.field(place), pa.array(starts, pa.int64()))


def _remove_unnamed(
    rewriting: Rewriting, digest: str, splits: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Old shards, of a killed compaction too."""
    named = {
        f"{entry['tar_key'].removesuffix('.tar')}{ending}"
        for entries in splits.values()
        for entry in entries
        for ending in (".tar", ".parquet", ".json")
    }
    for info in list(rewriting.store.list(f"{KIND}/{digest}/")):
        if info.key not in named:
            rewriting.delete(info.key)


def _remove_unfinished(rewriting: Rewriting, published: set[str], gone: pa.Array) -> None:
    """Shards of builds that were never finished: with one of these samples, or not whole."""
    found: dict[str, set[str]] = {}
    for info in rewriting.store.list(f"{KIND}/"):
        stem, _, ending = info.key.rpartition(".")
        if info.key.split("/")[1] not in published:
            found.setdefault(stem, set()).add(ending)
    for stem, endings in found.items():
        if "parquet" in endings:
            index = from_parquet(rewriting.store.get(f"{stem}.parquet"))
            if not compute.any(compute.is_in(index.column("uid"), value_set=gone)).as_py():
                continue
        for ending in ("json", "parquet", "tar"):  # what says that it is whole goes first
            if ending in endings:
                rewriting.delete(f"{stem}.{ending}")
