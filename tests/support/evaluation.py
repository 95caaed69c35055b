"""Small evaluation sets and tiny real models for the tests of evaluation and registry."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openmofi.storage import open_store
from openmofi.versions import write_manifest

COLOURS = {"Red Land": (200, 30, 30), "Green Isle": (30, 160, 60), "Blue Coast": (30, 60, 200)}

MICRO = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8},
    "text_cfg": {
        "context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip


def write_image_set(folder: Path, *, images: int = 4, side: int = 32) -> Path:
    """Class folders of noisy plain colours; ``classes.csv`` puts them in two domains."""
    rng = np.random.default_rng(0)
    lines = ["folder,name,domain"]
    for number, (name, colour) in enumerate(COLOURS.items()):
        place = folder / f"c{number}"
        place.mkdir(parents=True)
        lines.append(f"c{number},{name},{'Land' if number < 2 else 'Sea'}")
        for i in range(images):
            noise = rng.integers(-25, 26, (side, side, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{i}.png")
    (folder / "classes.csv").write_text("\n".join(lines) + "\n")
    return folder


def publish_micro_model(root: str, *, seed: int, origin: dict[str, Any] | None = None) -> str:
    """A real, untrained open_clip model in the store, with class rows; returns its URI."""
    import pyarrow.parquet as pq
    import torch
    from safetensors.torch import save_file

    from openmofi.models.backbones import create_backbone, export_folder, read_backbone_config
    from openmofi.models.publishing import publish_model
    from openmofi.records import VOCABULARY, from_rows

    model_config, preprocess = read_backbone_config(MICRO)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export_folder(create_backbone(MICRO, seed=seed), model_config, preprocess, folder)
        rows = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed))
        save_file({"rows": rows}, folder / "class_rows.safetensors")
        vocabulary = [
            {"class_index": i, "entity_id": f"E{i}", "name": n, "description": "", "images": 4}
            for i, n in enumerate(COLOURS)
        ]
        pq.write_table(from_rows(vocabulary, VOCABULARY), folder / "vocabulary.parquet")
        facts = origin or {"kind": "imported", "source": f"micro-{seed}"}
        return publish_model(open_store(root), folder, origin=facts, classes=3)


def publish_dataset(root: str, digest: str, *, checked_against: list[str]) -> str:
    """A data set's manifest with what the gate reads of it."""
    content = {"checked_against": checked_against}
    return write_manifest(open_store(root), "dataset", digest, content).uri
