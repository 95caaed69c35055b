"""A pool of any size as tables alone, with duplicates whose truth follows from the row's number.

Everything of a row is a hash of its number, so that shards are written one by one and nothing is
held but the embeddings, in a file. Of 100 rows about 10 repeat the bytes of an earlier one, 5 its
perceptual hash but for 1 to 4 bits, 5 its embedding at a cosine above 0.955; 2 show no entity, 2
hold text. Only rows that are none of these are repeated. All others are far from each other; for
hard ones see benchmarks/duplicates.py.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.assembly_vectors import Vectors
from openmofi.entities.build import build_knowledge_base
from openmofi.keys import hash_json
from openmofi.progress import bar
from openmofi.records import ENTITY_SCORES, MENTIONS, SAMPLES, TEXT_REGIONS, to_parquet
from openmofi.storage import Store, open_store
from openmofi.versions import ShardEntry, TableVersion, read_manifest, write_table_version

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

CAUSES = {
    "duplicate_exact": 10,
    "duplicate_perceptual": 5,
    "duplicate_embedding": 5,
    "no_entity": 2,
    "text_region": 2,
}  # of 100 rows
_ORIGINAL = ""
_LABELS = 3
_TRIES = 8  # for a copy to find what it repeats; without luck it repeats nothing
_LARGEST_BITS = 4
_KINDS = ("samples", "mentions", "entity_scores", "text_regions")


@dataclass(frozen=True)
class Size:
    """How large a pool is."""

    rows: int
    shards: int
    dim: int  # of embeddings; 0: there are none
    entities: int = 200_000

    def starts(self) -> Numbers:
        """[shards + 1], the number of each shard's first row, and of the end."""
        return np.linspace(0, self.rows, self.shards + 1).astype(np.int64)


def hashed(numbers: Numbers | Hashes, salt: int) -> Hashes:
    """Splitmix64: as good as random, and the same for the same number."""
    with np.errstate(over="ignore"):
        value = numbers.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(value ^ (value >> np.uint64(31)), np.uint64)


def planted(numbers: Numbers) -> npt.NDArray[np.str_]:
    """The cause for which each row is made to be dropped, or "" for those that may be repeated."""
    place = (hashed(numbers, 1) % np.uint64(100)).astype(np.int64)
    edges = np.cumsum(list(CAUSES.values()))
    names = np.array([*CAUSES, _ORIGINAL])
    return np.asarray(names[np.searchsorted(edges, place, side="right")], np.str_)


def originals(numbers: Numbers) -> Numbers:
    """An earlier row that may be repeated for each row, or itself where none was hit upon."""
    found = numbers.copy()
    for attempt in range(_TRIES):
        earlier = np.maximum(numbers, 1).astype(np.uint64)
        tried = (hashed(numbers, 100 + attempt) % earlier).astype(np.int64)
        take = (found == numbers) & (planted(tried) == _ORIGINAL) & (tried < numbers)
        found[take] = tried[take]
    return found


def expected(numbers: Numbers) -> npt.NDArray[np.str_]:
    """What should become of each row, as far as it was planted; "" for all others."""
    causes = planted(numbers)
    repeats = np.char.startswith(causes, "duplicate")
    causes[repeats & (originals(numbers) == numbers)] = _ORIGINAL
    return causes


def write_pool(root: Path, size: Size) -> dict[str, Any]:
    """Write all tables and the knowledge base; the keyword arguments of `assemble_dataset`."""
    store = open_store(str(root))
    knowledge_base = _knowledge_base(root, size.entities)
    digest = read_manifest(knowledge_base, "knowledge_base").digest
    kinds = [*_KINDS, "image_embeddings"] if size.dim else list(_KINDS)
    entries: dict[str, list[ShardEntry]] = {kind: [] for kind in kinds}
    made = bar(_tables(size, root.parent), label="pool", total=size.shards, unit="shard")
    for shard, tables in enumerate(made):
        rows = tables["samples"].num_rows
        for kind, table in tables.items():
            entries[kind].append(_put(store, kind, f"{shard:06d}", table, size, rows))
    uris: dict[str, Any] = {kind: [] for kind in (*_KINDS, "image_embeddings")}
    for kind, found in entries.items():
        known = {"knowledge_base": digest} if kind in ("mentions", "entity_scores") else {}
        version = TableVersion(kind, 1, {}, known, tuple(found))
        uris[kind] = [write_table_version(store, version)]
    return {**uris, "knowledge_base": knowledge_base}


def _knowledge_base(root: Path, entities: int) -> str:
    names = root.parent / "entities.csv"
    lines = (f"e{number:06d},thing {number},,one of many\n" for number in range(entities))
    names.write_text("entity_id,name,aliases,description\n" + "".join(lines))
    return build_knowledge_base(str(root), csv=str(names))


def _put(store: Store, kind: str, shard: str, table: pa.Table, size: Size, rows: int) -> ShardEntry:
    # Named by what makes it: the content's digest is the longest part of writing, and is not asked.
    digest = hash_json([kind, shard, size.rows, size.shards, size.dim, size.entities])
    key = f"tables/{kind}/{digest}.parquet"
    data = to_parquet(table)
    store.put(key, data)
    return ShardEntry(shard, digest, digest, key, "", table.num_rows, len(data), {"ok": rows}, {})


def _tables(size: Size, scratch: Path) -> Iterator[Mapping[str, pa.Table]]:
    """All tables of one shard after the other."""
    starts = size.starts()
    vectors = Vectors(size.rows, size.dim, scratch / "vectors.f16") if size.dim else None
    for start, end in itertools.pairwise(starts):
        numbers = np.arange(start, end)
        causes, sources = expected(numbers), originals(numbers)
        labels = _labels(numbers, causes, size.entities)
        made = {
            "samples": _samples(numbers, causes, sources),
            "mentions": _mentions(*labels),
            "entity_scores": _scores(*labels),
            "text_regions": _regions(causes == "text_region"),
        }
        if vectors is not None:
            made["image_embeddings"] = vectors.table(numbers, causes, sources)
        yield made


def _samples(numbers: Numbers, causes: npt.NDArray[np.str_], sources: Numbers) -> pa.Table:
    count = len(numbers)
    image = np.where(causes == "duplicate_exact", sources, numbers)
    near = causes == "duplicate_perceptual"
    phash = hashed(np.where(near, sources, image), 2)
    phash[near] ^= _few_bits(numbers[near])
    columns = {
        "uid": _hex(hashed(numbers, 3), hashed(numbers, 4)),
        "image_id": _hex(hashed(image, 5), hashed(image, 6)),
        "key": pa.array(np.char.mod("%09d", numbers)),
        "offset": np.full(count, -1, np.int64),
        "length": np.zeros(count, np.int64),
        "alt_text": _same("a picture of things", count),
        "width": np.full(count, 320, np.int32),
        "height": np.full(count, 240, np.int32),
        "phash": phash,
        "status": _same("ok", count),
    }
    return _table(columns, SAMPLES, count)


def _few_bits(numbers: Numbers) -> Hashes:
    """1 to 4 bits of 64, different ones."""
    flips = np.zeros(len(numbers), np.uint64)
    wanted = hashed(numbers, 7) % np.uint64(_LARGEST_BITS) + np.uint64(1)
    for place in range(_LARGEST_BITS):
        # A stride of 16 bits keeps them apart.
        bit = hashed(numbers, 8) % np.uint64(16) + np.uint64(16 * place)
        flips |= np.where(wanted > place, np.uint64(1) << bit, np.uint64(0))
    return flips


def _hex(high: Hashes, low: Hashes) -> pa.Array:
    """Texts of 32 hex digits."""
    words = np.stack([high, low], axis=1).astype(">u8").tobytes().hex().encode()
    offsets = np.arange(len(high) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(high), pa.py_buffer(offsets), pa.py_buffer(words))


def _same(text: str, count: int) -> pa.Array:
    return pa.array([text], pa.string()).take(pa.array(np.zeros(count, np.int32)))


def _table(columns: Mapping[str, Any], schema: pa.Schema, count: int) -> pa.Table:
    """With nulls in the columns that are not given."""
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _labels(
    numbers: Numbers, causes: npt.NDArray[np.str_], entities: int
) -> tuple[npt.NDArray[np.int32], pa.Array, npt.NDArray[np.float32]]:
    """Row, entity and score of three labels a row, entities as Zipf has them."""
    rows = np.repeat(np.arange(len(numbers), dtype=np.int32), _LABELS)
    keys = np.repeat(numbers, _LABELS) * _LABELS + np.tile(np.arange(_LABELS), len(numbers))
    even = hashed(keys, 9) / 2.0**64
    ranks = np.minimum(np.exp(even * np.log(entities)).astype(np.int64), entities - 1)
    # The k-th label's entities are every third of all, so that a row names none twice.
    ranks = np.minimum(ranks - ranks % _LABELS + keys % _LABELS, entities - 1)
    scores = (0.26 + 0.1 * (hashed(keys, 10) / 2.0**64)).astype(np.float32)
    scores[(causes == "no_entity")[rows]] -= np.float32(0.2)
    names = pa.array(np.char.mod("e%06d", np.arange(entities)))
    return rows, names.take(pa.array(ranks)), scores


def _mentions(
    rows: npt.NDArray[np.int32], entities: pa.Array, scores: npt.NDArray[np.float32]
) -> pa.Table:
    count = len(rows)
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.int32)
    columns = {
        "row": rows,
        "field": _same("alt_text", count),
        "mention": np.tile(np.arange(_LABELS, dtype=np.int32), count // _LABELS),
        "start": zeros,
        "end": zeros + 5,
        "surface": _same("thing", count),
        "entity_id": entities,
        "prior": ones,
        "agreement": ones,
        "context_score": ones,
        "rank": zeros,
        "reasons": _same("", count),
    }
    return _table(columns, MENTIONS, count)


def _scores(
    rows: npt.NDArray[np.int32], entities: pa.Array, scores: npt.NDArray[np.float32]
) -> pa.Table:
    count = len(rows)
    columns = {
        "row": rows,
        "entity_id": entities,
        "clip_score": scores,
        "rank": np.zeros(count, np.int32),
        "posterior": np.ones(count, np.float32),
        "settled": np.ones(count, bool),
    }
    return _table(columns, ENTITY_SCORES, count)


def _regions(with_text: npt.NDArray[np.bool_]) -> pa.Table:
    count = int(with_text.sum())
    offsets = pa.array(np.concatenate([[0], np.cumsum(with_text)]).astype(np.int32))
    corners = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(8 * count, np.float32)), 8)
    sure = pa.ListArray.from_arrays(offsets, pa.array(np.full(count, 0.9, np.float32)))
    columns = {
        "boxes": pa.ListArray.from_arrays(offsets, corners),
        "confidences": sure,
        "detector_confidences": sure,
        "areas": pa.ListArray.from_arrays(offsets, pa.array(np.full(count, 0.05, np.float32))),
        "status": _same("ok", len(with_text)),
    }
    return _table(columns, TEXT_REGIONS, len(with_text))
