"""A crawl of a few noisy pictures with all that `curate` needs beside it."""

import io
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from openmofi.shards import write_tar
from support.models import write_model

NAMES = {"E1": "crane", "E2": "heron"}


def write_workplace(folder: Path, *, shards: int, samples: int) -> Path:
    """Write ``crawl/``, ``entities.csv``, ``labeler/`` and ``mine.yaml``; return the last.

    The first picture of each shard is broken. Paths in the configuration are relative.
    """
    (folder / "crawl").mkdir()
    for number in range(shards):
        _write_shard(folder / "crawl", number, samples)
    rows = "".join(f"{key},{name},,a bird,,\n" for key, name in NAMES.items())
    header = "entity_id,name,aliases,description,prior,parents\n"
    (folder / "entities.csv").write_text(header + rows)
    write_model(folder / "labeler")
    config = {
        "source": "crawl",
        "knowledge_base_csv": "entities.csv",
        "labeler": "./labeler",
        "groups": 2,
        "assemble": {"min_score": -1.0, "min_images_per_entity": 1},
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _write_shard(folder: Path, number: int, samples: int) -> None:
    pairs = []
    for row in range(samples):
        name = list(NAMES.values())[row % 2]
        data = _jpeg(number * 100 + row) if row else b"broken"
        texts = {"jpg": data, "txt": f"a {name} by the lake".encode()}
        pairs.append((f"{number:03}{row:03}", texts))
    write_tar(folder / f"{number:05}.tar", pairs)


def _jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    picture = Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST)
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=90)
    return sink.getvalue()
