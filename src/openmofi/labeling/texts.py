"""Entities in words, as vectors: each text is encoded once per model, in any run.

Vectors lie in parts, ``text_embeddings/<model digest>/<part>.parquet``, found by a hash of the text
itself. So another knowledge base that says the same of an entity, or another template that comes
to the same words, encodes nothing. A part is named by the texts in it and never changed: two runs
at once write parts of their own, and a text that stands in two is read from the first by name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmofi.keys import hash_bytes, hash_json
from openmofi.progress import bar, say
from openmofi.records import from_parquet, read_parquet, to_parquet
from openmofi.storage import Store

Halves = npt.NDArray[np.float16]

_PART_TEXTS = 2048  # a killed run loses at most this many encodings
_IDS, _VECTORS = "ids.parquet", "vectors.npy"


class TextEncoder(Protocol):
    """What is needed of an encoder; see `openmofi.models.encoder.ClipEncoder`."""

    def encode_texts(self, texts: Sequence[str], *, batch_size: int) -> npt.NDArray[np.float32]:
        """Unit vectors ``[N, dim]``."""


@dataclass(frozen=True)
class TextModel:
    """The encoder of texts, loaded when there is something to encode.

    Args:
        uri: Of the ``model`` manifest.
        digest: Its digest.
        device: See `openmofi.models.encoder.ClipEncoder`.
        batch_size: Texts per forward pass.
    """

    uri: str
    digest: str
    device: str = "cpu"
    batch_size: int = 64

    def load(self) -> TextEncoder:
        """The encoder."""
        from openmofi.models.encoder import load_encoder

        return load_encoder(self.uri, device=self.device)


def embed_texts(store: Store, model: TextModel, texts: Sequence[str]) -> Halves:
    """Unit vectors of texts: from the store where they are known, encoded and stored otherwise.

    Args:
        store: Where the parts lie.
        model: The encoder.
        texts: May repeat.

    Returns:
        ``float16[len(texts), dim]`` in the order of ``texts``; ``[0, 0]`` of no texts.
    """
    keys = {text: hash_bytes(text.encode()) for text in texts}
    found = _known_vectors(store, model.digest, set(keys.values()))
    missing = sorted(text for text, key in keys.items() if key not in found)
    reused = len(keys) - len(missing)
    say(f"entity_texts: {len(keys)} texts, {reused} reused, {len(missing)} to encode")
    if missing:
        encoder = model.load()
        blocks = list(_blocks(missing))
        for block in bar(blocks, label="entity_texts", total=len(blocks), unit="block"):
            vectors = encoder.encode_texts(block, batch_size=model.batch_size)
            part = dict(zip((keys[t] for t in block), vectors.astype(np.float16), strict=True))
            _write_part(store, model.digest, part)
            found |= part
    if not texts:
        return np.zeros((0, 0), np.float16)
    return np.stack([found[keys[text]] for text in texts])


def _blocks(texts: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), _PART_TEXTS):
        yield texts[start : start + _PART_TEXTS]


def _folder(digest: str) -> str:
    return f"text_embeddings/{digest}"


def _write_part(store: Store, digest: str, part: dict[str, Halves]) -> None:
    matrix = np.stack(list(part.values()))
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    table = pa.table({"text": pa.array(list(part), pa.string()), "embedding": column})
    store.put(f"{_folder(digest)}/{hash_json(list(part))}.parquet", to_parquet(table))


def _known_vectors(store: Store, digest: str, wanted: set[str]) -> dict[str, Halves]:
    """Vectors of wanted texts by their hash, as far as the parts hold them."""
    found: dict[str, Halves] = {}
    for info in store.list(f"{_folder(digest)}/"):
        if len(found) == len(wanted):
            break
        table = from_parquet(store.get(info.key))
        rest = pa.array(sorted(wanted - found.keys()), pa.string())
        table = table.filter(pc.is_in(table.column("text"), value_set=rest))
        if table.num_rows:
            flat = table.column("embedding").combine_chunks().flatten()
            matrix = flat.to_numpy(zero_copy_only=False).reshape(table.num_rows, -1)
            found.update(zip(table.column("text").to_pylist(), matrix, strict=True))
    return found


@dataclass(frozen=True)
class EntityTexts:
    """Vectors of entity texts, memory mapped, so that workers share them.

    Args:
        ids: Sorted entity ids.
        vectors: ``float16[len(ids), dim]``.
    """

    ids: pa.Array
    vectors: Halves

    def rows(self, entity_ids: pa.Array) -> npt.NDArray[np.int64]:
        """The row of each entity, or -1."""
        found = pc.fill_null(pc.index_in(entity_ids, value_set=self.ids), -1)
        rows: npt.NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return rows


def write_entity_texts(folder: Path, ids: Sequence[str], vectors: Halves) -> None:
    """Write what `read_entity_texts` maps; ``ids`` must be sorted."""
    pq.write_table(pa.table({"entity_id": pa.array(ids, pa.string())}), folder / _IDS)
    np.save(folder / _VECTORS, vectors)


def read_entity_texts(folder: Path) -> EntityTexts:
    """Map the vectors of a folder written by `write_entity_texts`."""
    ids = read_parquet(folder / _IDS).column("entity_id").combine_chunks()
    vectors = np.load(folder / _VECTORS, mmap_mode="r")
    return EntityTexts(ids, vectors)
