"""Training shards of noise in several formats, for what reads and exports them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.training_shards import build_shards
from openmofi.records import from_parquet
from openmofi.versions import Manifest, read_manifest
from support.tables import Pair, labelled, noise_jpeg, write_pool

FORMATS = ("PNG", "GIF", "BMP", "TIFF", "WEBP")


def encoded(seed: int, form: str) -> bytes:
    """The picture of a seed in another format."""
    sink = io.BytesIO()
    Image.open(io.BytesIO(noise_jpeg(seed))).save(sink, form)
    return sink.getvalue()


def some_pairs() -> list[Pair]:
    """18 JPEGs with one label, two or none, and a picture of each of `FORMATS`."""
    pairs = [labelled(seed, ("peru", 0.4), ("chad", 0.5 - seed / 100)) for seed in range(9)]
    pairs += [labelled(seed, ("norway", 0.4)) for seed in range(9, 16)]
    pairs += [labelled(seed) for seed in range(16, 18)]
    pairs += [
        Pair(encoded(20 + place, form), f"a {form} — “quoted”, {place}")
        for place, form in enumerate(FORMATS)
    ]
    return pairs


def write_shards(
    root: Path,
    knowledge_base: str,
    pairs: Sequence[Pair] | None = None,
    *,
    samples_per_shard: int = 5,
    **config: Any,
) -> Manifest:
    """Training shards of two pool shards, whose every sample is kept."""
    pairs = some_pairs() if pairs is None else pairs
    half = len(pairs) // 2
    pool = write_pool(root, {"a": pairs[:half], "b": pairs[half:]})
    config = {"min_images_per_entity": 1, "validation_share": 0.4, **config}
    dataset = assemble_dataset(
        **pool.tables(), knowledge_base=knowledge_base, config={"require_entities": False, **config}
    )
    uri = build_shards(dataset, config={"samples_per_shard": samples_per_shard})
    return read_manifest(uri, "training_shards")


def samples_of(made: Manifest, split: str) -> list[dict[str, Any]]:
    """The samples of a split in order, each with its picture's bytes, out of the store by hand."""
    found = []
    for shard in made.content["splits"][split]:
        for row in from_parquet(made.store.get(shard["index_key"])).to_pylist():
            data = made.store.get(shard["tar_key"])[row["offset"] : row["offset"] + row["length"]]
            found.append({**row, "data": data})
    return found


def pixels(data: bytes) -> np.ndarray:
    """RGB of a picture's bytes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
