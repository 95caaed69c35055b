"""Small evaluation sets in the layouts of the real ones."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SYNSETS = ["n01440764", "n01443537", "n02012849"]


def write_picture(path: Path, colour: Sequence[int], *, seed: int = 0, side: int = 16) -> Path:
    """A noisy plain colour, its own by ``seed``."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-25, 26, (side, side, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


def colour_of(number: int) -> tuple[int, int, int]:
    """One colour a class, far from the others."""
    red, green, blue = np.random.default_rng(number).integers(30, 226, 3)
    return int(red), int(green), int(blue)


def write_gpr1200(folder: Path, classes: Sequence[int], *, images: int = 2) -> Path:
    """Flat: ``<class number>_<name>.jpg``."""
    for number in classes:
        for i in range(images):
            name = f"{number}_some_name_{i}.jpg"
            write_picture(folder / name, colour_of(number), seed=97 * number + i)
    return folder


def write_imagenet(folder: Path, synsets: Sequence[str], *, train: int = 4, val: int = 3) -> Path:
    """``train/<synset>/*.JPEG`` and ``val/<synset>/*.JPEG``; no training images, no ``train``."""
    for number, synset in enumerate(synsets):
        for split, count in (("train", train), ("val", val)):
            for i in range(count):
                name = (
                    f"{synset}_{i}.JPEG" if split == "train" else f"ILSVRC2012_val_{number}{i}.JPEG"
                )
                seed = 1000 * (split == "val") + 97 * number + i
                write_picture(folder / split / synset / name, colour_of(number), seed=seed)
    return folder


def karpathy_row(filename: str, captions: Sequence[str], **more: Any) -> dict[str, Any]:
    """One image as Karpathy's JSON has it."""
    sentences = [
        {"raw": text, "tokens": text.split(), "sentid": i} for i, text in enumerate(captions)
    ]
    return {"filename": filename, "split": "test", "sentences": sentences, **more}


def write_json(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": list(rows), "dataset": "made"}), encoding="utf-8")
    return path


def write_coco(folder: Path, images: int = 4, *, captions: int = 5) -> Path:
    """``dataset_coco.json`` beside ``val2014``, with images of other splits that are not there."""
    rows = [karpathy_row("COCO_train2014_9.jpg", ["not here"], filepath="train2014", split="train")]
    for number in range(images):
        name = f"COCO_val2014_{number:012}.jpg"
        write_picture(folder / "val2014" / name, colour_of(number), seed=number)
        texts = [f"picture {number}, told {i}" for i in range(captions)]
        rows.append(karpathy_row(name, texts, filepath="val2014"))
    write_json(folder / "dataset_coco.json", rows)
    return folder


def write_bytes(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def known_gpr1200(folder: Path, tested: Sequence[bytes], learned: bytes) -> Path:
    """GPR1200 of given pictures, two a class, as it is unpacked; it has nothing to learn from."""
    for number, content in enumerate(tested):
        write_bytes(folder / "images" / f"{number // 2}_name_{number}.jpg", content)
    return folder


def known_imagenet(folder: Path, tested: Sequence[bytes], learned: bytes) -> Path:
    """ImageNet of given pictures, two a class; ``train`` holds one of its own."""
    for number, content in enumerate(tested):
        write_bytes(folder / "val" / SYNSETS[number // 2] / f"val_{number}.JPEG", content)
    write_bytes(folder / "train" / SYNSETS[0] / "train_0.JPEG", learned)
    return folder


def known_coco(folder: Path, tested: Sequence[bytes], learned: bytes) -> Path:
    """Karpathy's layout of given pictures; one of them is in the split ``train``."""
    splits = [*(["test"] * len(tested)), "train"]
    rows = []
    for number, (content, split) in enumerate(zip([*tested, learned], splits, strict=True)):
        write_bytes(folder / "val2014" / f"{number}.jpg", content)
        row = karpathy_row(f"{number}.jpg", [f"number {number}"], filepath="val2014", split=split)
        rows.append(row)
    write_json(folder / "dataset_coco.json", rows)
    return folder


def known_class_folders(folder: Path, tested: Sequence[bytes], learned: bytes) -> Path:
    """Class folders of given pictures, two a class; they have nothing to learn from."""
    for number, content in enumerate(tested):
        write_bytes(folder / f"class_{number // 2}" / f"{number}.jpg", content)
    return folder


KNOWN_LAYOUTS = [known_class_folders, known_gpr1200, known_imagenet, known_coco]
