"""Assembling small pools, and what came of it."""

from pathlib import Path
from typing import Any

from openmofi.dataset.assemble import assemble_dataset
from openmofi.records import from_parquet
from openmofi.versions import Manifest, read_manifest
from support.tables import Pair, Pool, write_pool

RELAXED = {"min_images_per_entity": 1, "validation_share": 0}


def assemble(pool: Pool, kb: str, *, parent: str = "", **config: Any) -> Manifest:
    uri = assemble_dataset(
        **pool.tables(), knowledge_base=kb, config={**RELAXED, **config}, parent=parent
    )
    return read_manifest(uri, "dataset")


def table(manifest: Manifest, key: str) -> list[dict[str, Any]]:
    return from_parquet(manifest.store.get(key)).to_pylist()


def kept(manifest: Manifest) -> dict[str, list[str]]:
    """Entities by "shard/row" of every kept sample, best first."""
    names = [row["entity_id"] for row in table(manifest, manifest.content["vocabulary"])]
    return {
        f"{shard['shard']}/{row['row']}": [names[label] for label in row["labels"]]
        for shard in manifest.content["shards"]
        for row in table(manifest, shard["kept_key"])
    }


def dropped(manifest: Manifest) -> dict[str, str]:
    return {
        f"{shard['shard']}/{row['row']}": row["cause"]
        for shard in manifest.content["shards"]
        for row in table(manifest, shard["dropped_key"])
    }


def pool_of(root: Path, *pairs: Pair) -> Pool:
    return write_pool(root, {"a": pairs})
