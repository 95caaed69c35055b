"""An encoder whose arithmetic is exact, so that pinned digests hold on every machine."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from openmofi.keys import hash_bytes
from openmofi.labeling.embed import EmbedStage
from openmofi.labeling.texts import TextModel
from openmofi.records import from_parquet
from openmofi.storage import open_store
from openmofi.versions import TableVersion, read_table_version

SMALLEST_SIDE = 4


@dataclass(frozen=True)
class ToyGeometry:
    """Whether each quarter of an image is bright, as a picture of two by two."""

    height: int = 2
    width: int = 2
    least_side: int = 2

    def pixels(self, image: Image.Image) -> np.ndarray:
        if min(image.size) < SMALLEST_SIDE:
            raise ValueError("too small to have quarters")
        values = np.asarray(image.convert("L")).astype(np.int64)
        middle = values.shape[0] // 2, values.shape[1] // 2
        quarters = np.empty((2, 2, 3), np.uint8)
        for row, column in np.ndindex(2, 2):
            part = np.split(np.split(values, [middle[0]])[row], [middle[1]], axis=1)[column]
            quarters[row, column] = 255 * (part.sum() > 127 * part.size)
        return quarters


class ToyEncoder:
    """Four numbers of plus or minus a half: whether each quarter of an image is bright; of a text,
    bits of its hash."""

    dim = 4
    device = "cpu"
    preprocess = ToyGeometry()

    def launch(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels[..., 0].reshape(-1, 4) > 0).float() - 0.5

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        bits = [int(hash_bytes(text.encode())[:1], 16) for text in texts]
        return np.array([[0.5 if b >> i & 1 else -0.5 for i in range(4)] for b in bits], np.float32)


@dataclass
class ToyEmbedStage(EmbedStage):
    def setup(self) -> None:
        self.encoder = ToyEncoder()


@dataclass(frozen=True)
class ToyTextModel(TextModel):
    def load(self) -> ToyEncoder:
        return ToyEncoder()


def quarters_png(*bright: int, side: int = 8) -> bytes:
    """A lossless picture whose named quarters (0 to 3, by rows) are white and the others black."""
    values = np.zeros((2, 2), np.uint8)
    values.ravel()[list(bright)] = 255
    sink = io.BytesIO()
    Image.fromarray(values.repeat(side // 2, 0).repeat(side // 2, 1)).save(sink, "PNG")
    return sink.getvalue()


def read_tables(uri: str, kind: str) -> tuple[TableVersion, pa.Table]:
    """A version and its shards' tables, one after the other."""
    store, version = read_table_version(uri, kind)
    tables = [from_parquet(store.get(entry.table_key)) for entry in version.shards]
    return version, pa.concat_tables(tables)


def write_csv(path: Path, entities: Sequence[tuple[str, str, str]]) -> str:
    """A knowledge base's CSV of (entity_id, name, description)."""
    lines = [f'{one},{name},,"{text}",1,' for one, name, text in entities]
    path.write_text("\n".join(["entity_id,name,aliases,description,prior,parents", *lines]))
    return str(path)


def remove_tars(root: str) -> int:
    """Delete every pool tar, so that whoever reads pixels fails; how many there were."""
    store = open_store(root)
    tars = [info.key for info in store.list() if info.key.endswith(".tar")]
    for key in tars:
        store.delete(key)
    return len(tars)
