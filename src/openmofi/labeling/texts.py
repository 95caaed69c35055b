"""Entities in words, as vectors: encoded once per model, mapped by every worker."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.entities.arrays import map_table
from openmofi.entities.kernels_hash import fixed
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.errors import InputError, StorageError
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.kernels_scores import find_strings, hash_strings
from openmofi.labeling.text_parts import (
    PART_TEXTS,
    Halves,
    Keys,
    copy_vectors,
    match_parts,
    part_width,
    text_keys,
    write_part,
)
from openmofi.progress import bar, say
from openmofi.storage import Store

_IDS, _VECTORS = "ids.arrow", "vectors.npy"
_IDS_SCHEMA = pa.schema([pa.field("entity_id", pa.large_string(), nullable=False)])
_BLOCK = 65_536  # texts put together at once


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


def entity_texts_of(
    base: KnowledgeBase, options: LabelConfig, ids: Sequence[str] | pa.Array
) -> list[str]:
    """What stands for each entity, in the order of ``ids``.

    Raises:
        InputError: The knowledge base lacks an entity.
    """
    known = base.entities.column("entity_id").combine_chunks()
    ids = pa.array(ids, known.type)
    rows = pc.index_in(ids, value_set=known)
    if rows.null_count:
        unknown = ids[rows.is_null().index(True).as_py()]
        raise InputError(f"entity '{unknown}' of the mentions is not in {base.folder}")
    texts: list[str] = []
    for start in range(0, len(rows), _BLOCK):
        block = base.entities.select(["name", "description"]).take(rows[start : start + _BLOCK])
        names, descriptions = (column.to_pylist() for column in block.columns)
        texts += map(options.text_of, names, descriptions)
    return texts


def encode_texts(store: Store, model: TextModel, texts: Sequence[str]) -> Keys:
    """Make sure that the store has each text's vector: encode what no run has encoded before.

    Args:
        store: Where the parts lie; see `openmofi.labeling.text_parts`.
        model: The encoder; loaded only if there is something to encode.
        texts: May repeat.

    Returns:
        The key of each text.

    Raises:
        InputError: The model's vector of a text is not finite.
    """
    keys = text_keys(texts)
    wanted, firsts = np.unique(keys, return_index=True)
    missing = np.ones(len(wanted), np.bool_)
    for match in match_parts(store, model.digest, wanted):
        missing[match.wanted] = False
    places = np.flatnonzero(missing)
    reused = len(wanted) - len(places)
    say(f"entity_texts: {len(wanted)} texts, {reused} reused, {len(places)} to encode")
    if len(places):
        encoder = model.load()
        starts = range(0, len(places), PART_TEXTS)
        for start in bar(starts, label="entity_texts", total=len(starts), unit="block"):
            part = places[start : start + PART_TEXTS]
            block = [texts[first] for first in firsts[part]]
            vectors = encoder.encode_texts(block, batch_size=model.batch_size)
            write_part(store, model.digest, wanted[part], _as_halves(model, block, vectors))
    return keys


def _as_halves(model: TextModel, texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> Halves:
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    odd = ~np.isfinite(halves).all(axis=1)
    if odd.any():
        text = texts[int(odd.argmax())]
        raise InputError(f"model {model.uri} gives no finite vector of the text {text!r:.80}")
    return halves


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
        coded = entity_ids.dictionary_encode()
        found = find_strings(*_buffers(coded.dictionary), *self._strings, self._slots)
        rows: npt.NDArray[np.int64] = found[coded.indices.to_numpy(zero_copy_only=False)]
        return rows

    @functools.cached_property
    def _strings(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        return _buffers(self.ids)

    @functools.cached_property
    def _slots(self) -> npt.NDArray[np.int32]:
        # Once, since arrow would hash two million ids again for the few thousand of each shard.
        return hash_strings(*self._strings)


def _buffers(strings: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Where each string begins, with the end of the last, and the bytes."""
    if not len(strings):
        return fixed(np.zeros(1, np.int64)), fixed(np.zeros(0, np.uint8))
    width: Any = np.int64 if pa.types.is_large_string(strings.type) else np.int32
    _, offsets, data = strings.buffers()
    begin = strings.offset * np.dtype(width).itemsize
    starts = np.frombuffer(offsets, width, len(strings) + 1, begin).astype(np.int64, copy=False)
    return fixed(starts), fixed(np.frombuffer(data or b"", np.uint8))


def write_entity_texts(
    folder: Path, ids: Sequence[str] | pa.Array, store: Store, digest: str, keys: Keys
) -> None:
    """Copy vectors out of the store to a table that `read_entity_texts` maps.

    Part by part: the table is never in memory as a whole.

    Args:
        folder: Gets the table.
        ids: Sorted entity ids.
        store: Where the parts lie.
        digest: Of the model.
        keys: Of each entity's text, which `encode_texts` has seen.

    Raises:
        StorageError: A part is damaged, or gone meanwhile.
    """
    column = pa.array(ids, pa.large_string())
    with pa.OSFile(str(folder / _IDS), "wb") as sink, pa.ipc.new_file(sink, _IDS_SCHEMA) as writer:
        writer.write_batch(pa.record_batch([column], schema=_IDS_SCHEMA))
    wanted, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    matches = list(match_parts(store, digest, wanted))
    if sum(len(match.wanted) for match in matches) < len(wanted):
        raise StorageError(f"{store.uri} has lost entity texts of model {digest}; run it again")
    width = part_width(store, matches[0].part) if matches else 0
    out: Any = np.lib.format.open_memmap(folder / _VECTORS, "w+", np.float16, (len(keys), width))
    starts = np.concatenate([[0], np.cumsum(counts)])
    copy_vectors(store, matches, starts, out, np.argsort(inverse, kind="stable"))
    out.flush()


def read_entity_texts(folder: Path) -> EntityTexts:
    """Map the table that `write_entity_texts` wrote."""
    ids = map_table(folder / _IDS, _IDS_SCHEMA).column("entity_id").combine_chunks()
    return EntityTexts(ids, np.load(folder / _VECTORS, mmap_mode="r"))
