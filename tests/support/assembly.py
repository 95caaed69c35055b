"""Assembling small pools, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.versions.version import Dataset
from openmofi.keys import content_digest, hash_json
from openmofi.labeling.masked import regions_recipe
from openmofi.records import MASKED_SCORES, from_parquet, from_rows, image_embeddings_schema
from openmofi.stage import run_stage
from openmofi.versions import Manifest, read_manifest, read_table_version
from openmofi.work import align
from support.tables import HandMade, Pair, Pool, write_pool

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
        f"{shard.shard}/{row['row']}": [names[label] for label in row["labels"]]
        for shard in Dataset(manifest).shards
        for row in table(manifest, shard.kept_key)
    }


def dropped(manifest: Manifest) -> dict[str, str]:
    return {
        f"{shard.shard}/{row['row']}": row["cause"]
        for shard in Dataset(manifest).shards
        for row in table(manifest, shard.dropped_key)
    }


def pool_of(root: Path, *pairs: Pair) -> Pool:
    return write_pool(root, {"a": pairs})


@dataclass
class Remade(HandMade):
    """A hand-made table with options too."""

    config: Mapping[str, Any] = field(default_factory=dict)

    def semantic_config(self) -> Mapping[str, Any]:
        return self.config


def remade(
    pool: Pool,
    kind: str,
    *,
    digests: Mapping[str, str],
    config: Mapping[str, Any] | None = None,
    tables: Mapping[str, pa.Table] | None = None,
) -> Pool:
    """The same pool, with one table as other models or options would have made it."""
    store, samples = read_table_version(pool.samples[0], "samples")
    if tables is None:
        _, version = read_table_version(getattr(pool, kind)[0], kind)
        tables = {one.shard: from_parquet(store.get(one.table_key)) for one in version.shards}
    content = hash_json([[name, content_digest(one)] for name, one in sorted(tables.items())])
    stage = Remade(kind, tables, known={**digests, "content": content}, config=config or {})
    return replace(pool, **{kind: [run_stage(stage, store, align({"samples": samples}))]})


def embedded(
    pool: Pool,
    vectors: Mapping[str, Sequence[Sequence[float] | None]],
    *,
    dim: int = 2,
    model: str = "m" * 32,
) -> Pool:
    """The same pool with the given embeddings by shard; None is one that failed."""
    tables = {
        shard: from_rows(
            [
                {"embedding": [0.0] * dim, "status": "failed"}
                if one is None
                else {"embedding": np.asarray(one, np.float16).tolist(), "status": "ok"}
                for one in rows
            ],
            image_embeddings_schema(dim),
        )
        for shard, rows in vectors.items()
    }
    return remade(pool, "image_embeddings", digests={"model": model}, tables=tables)


def masked(pool: Pool, scores: Mapping[str, Sequence[float | str]], **limits: float) -> Pool:
    """The same pool with the given masked scores by shard, or the status of what has none."""
    _, regions = read_table_version(pool.text_regions[0], "text_regions")
    tables = {
        shard: from_rows(
            [
                {"status": one}
                if isinstance(one, str)
                else {"caption_score": 0.5, "masked_score": one, "masked_area": 0.1, "status": "ok"}
                for one in rows
            ],
            MASKED_SCORES,
        )
        for shard, rows in scores.items()
    }
    return remade(
        pool,
        "masked_scores",
        digests={"model": "m", "text_regions": regions_recipe(regions)},
        config={"min_confidence": 0.3, "min_area": 0.0, "max_area": 0.2, **limits},
        tables=tables,
    )
