"""Training shards of coloured shapes, made by code, and a backbone small enough for tests."""

import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from openmofi.keys import hash_file, hash_json
from openmofi.records import TRAINING_SAMPLES, VOCABULARY, from_rows
from openmofi.shards import write_tar
from openmofi.storage import Store, open_store
from openmofi.versions import write_manifest
from support.mlflow_databases import new_database

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 190, 60),
    "blue": (40, 60, 220),
    "yellow": (230, 210, 30),
}
SHAPES = ("disc", "square")
CLASSES = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]

# What publishing is told of a run that nobody has run.
RUN_FACTS = {
    "name": "a trial",
    "backbone": "small.json",
    "dataset_uri": "",
    "mlflow_run_id": "f00d",
    "metrics": {"train/loss": 1.25, "train/epochs": 8.0},
    "seconds": 12.5,
}

SMALL_BACKBONE = {
    "embed_dim": 32,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 32,
        "timm_model_name": "test_resnet",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "",
    },
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}

# Nothing in it depends on the batch, as batch normalisation does: ranks equal one process.
SMALL_TRANSFORMER = {
    **SMALL_BACKBONE,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 16,
        "width": 32,
        "layers": 1,
        "head_width": 16,
    },
}


def write_backbone(folder: Path) -> str:
    """The path of a JSON file with `SMALL_BACKBONE`."""
    path = folder / "small.json"
    path.write_text(json.dumps(SMALL_BACKBONE))
    return str(path)


def draw_shape(label: int, rng: np.random.Generator, side: int = 36) -> Image.Image:
    """A shape of class ``label`` somewhere on a grey ground."""
    colour, shape = CLASSES[label].split()
    ground = int(rng.integers(60, 200))
    image = Image.new("RGB", (side + 4, side), (ground, ground, ground))
    radius = int(rng.integers(9, 15))
    x, y = (int(rng.integers(radius, side - radius)) for _ in range(2))
    box = (x - radius, y - radius, x + radius, y + radius)
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "disc" else draw.rectangle)(box, fill=COLOURS[colour])
    return image


def png(image: Image.Image) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def make_samples(count: int, *, seed: int, labelled: bool = True) -> list[dict[str, Any]]:
    """``count`` samples: image, alt text, labels; classes come in turn."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(count):
        label = i % len(CLASSES)
        samples.append(
            {
                "uid": hash_json(["uid", seed, i]),
                "image": draw_shape(label, rng),
                "alt_text": f"stock picture {i}: {CLASSES[label]}",
                "labels": [label] if labelled else [],
            }
        )
    return samples


def write_training_shards(
    root: Path | str,
    samples: list[dict[str, Any]],
    *,
    shard_rows: int = 40,
    vocabulary: bool = True,
    extra_classes: int = 0,
) -> str:
    """Write ``samples`` in the layout of ``build_shards``; return the manifest's URI.

    ``extra_classes`` without an image stand at the vocabulary's end, as when it has grown.
    """
    store = open_store(str(root))
    entries = [
        _write_shard(store, f"{first // shard_rows:05d}", samples[first : first + shard_rows])
        for first in range(0, len(samples), shard_rows)
    ]
    key = "training/vocabulary.parquet"
    rows = [
        {
            "class_index": i,
            "entity_id": f"shape:{i}",
            "name": name,
            "description": f"{name.split()[1]} painted {name.split()[0]}",
            "images": len(samples) // len(CLASSES) if i < len(CLASSES) else 0,
        }
        for i, name in enumerate([*CLASSES, *CLASSES[:extra_classes]])
    ]
    store.put(key, _parquet(from_rows(rows if vocabulary else [], VOCABULARY)))
    digest = hash_json([entries, rows if vocabulary else []])
    content = {
        "dataset": hash_json(["dataset", digest]),
        "dataset_uri": f"{store.uri}/manifests/dataset/x.json",
        "vocabulary": key,
        "classes": len(rows) if vocabulary else 0,
        "splits": {"train": entries, "validation": []},
    }
    return write_manifest(store, "training_shards", digest, content).uri


def _write_shard(store: Store, name: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    tar_key, index_key = f"training/{name}.tar", f"training/{name}.parquet"
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "shard.tar")
        members = [
            (s["uid"], {"png": png(s["image"]), "txt": s["alt_text"].encode()}) for s in samples
        ]
        written = write_tar(path, members)
        store.put_file(tar_key, path)
        digest = hash_file(path)
    rows = [
        {
            "uid": sample["uid"],
            "key": entry.key,
            "offset": entry.members["png"].offset,
            "length": entry.members["png"].length,
            "alt_text": sample["alt_text"],
            "labels": sample["labels"],
        }
        for sample, entry in zip(samples, written, strict=True)
    ]
    store.put(index_key, _parquet(from_rows(rows, TRAINING_SAMPLES)))
    return {"tar_key": tar_key, "index_key": index_key, "rows": len(rows), "digest": digest}


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


class RemoteStore:
    """A store that is no folder: counts the pieces that are asked for, and may be slow."""

    def __init__(self, store: Store, *, slow_s: float = 0.0, stalls_after: int = 1 << 30) -> None:
        self.store, self.slow_s, self.stalls_after = store, slow_s, stalls_after
        self.uri = store.uri
        self.asked: list[str] = []

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        time.sleep(self.slow_s if len(self.asked) < self.stalls_after else 3600)
        self.asked.append(key)
        return self.store.get_range(key, offset, length)


def short_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of four steps of a small model, whose file has a name that a shell would change."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    backbone = folder / "$(HOME).json"
    backbone.write_text(json.dumps(SMALL_TRANSFORMER))
    return {
        "backbone": str(backbone),
        "max_steps": 4,
        "batch_size": 24,
        "warmup_steps": 1,
        "log_every": 1,
    }
