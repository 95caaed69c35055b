"""Schemas of every table that crosses a stage, and the closed list of sample statuses.

Tables are Parquet, one file per shard and stage. Row-aligned tables have row ``i`` for sample
``i`` of the shard, in tar order, so joining them is zipping them. Long tables name the sample by
``row``. No table holds a decision but which candidate of a mention is the likeliest: thresholds are
applied by assembly alone.
"""

import io
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION = 1


class Status(StrEnum):
    """What became of one sample in one stage."""

    OK = "ok"
    MISSING_IMAGE = "missing_image"
    CORRUPT_IMAGE = "corrupt_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    BAD_ASPECT = "bad_aspect"
    NO_TEXT = "no_text"
    SHORT_TEXT = "short_text"
    LONG_TEXT = "long_text"
    SKIPPED = "skipped"  # an earlier stage had already refused the sample
    TAKEN_DOWN = "taken_down"  # it was in a list of `openmofi dataset forget` before
    FAILED = "failed"  # this stage could not process a sample that ingest had accepted


_TEXT = pa.string()

SAMPLES = pa.schema(
    [
        pa.field("uid", _TEXT, nullable=False),  # 32 hex digits, of image_id and text
        pa.field("image_id", _TEXT),  # 32 hex digits of the image bytes; null without an image
        pa.field("key", _TEXT, nullable=False),  # the sample's key in the tar
        pa.field("offset", pa.int64(), nullable=False),  # of the image's bytes in the tar, -1: none
        pa.field("length", pa.int64(), nullable=False),  # bytes of the image
        pa.field("alt_text", _TEXT, nullable=False),
        pa.field("title", _TEXT),
        pa.field("url", _TEXT),
        pa.field("licence", _TEXT),
        pa.field("no_ai", pa.bool_()),  # its owner refuses training on it; null: nothing is said
        pa.field("width", pa.int32(), nullable=False),  # pixels after the EXIF turn, 0: unknown
        pa.field("height", pa.int32(), nullable=False),
        pa.field("phash", pa.uint64()),  # 64-bit DCT hash; null unless ok
        pa.field("status", _TEXT, nullable=False),
        pa.field("reason", _TEXT),
    ]
)

MENTIONS = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("field", _TEXT, nullable=False),  # "alt_text" or "title"
        # Number of the mention in its sample. Candidates of one mention may have different spans: a
        # longer name, and the thing that its last words name.
        pa.field("mention", pa.int32(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),  # code points of the original text
        pa.field("end", pa.int32(), nullable=False),
        pa.field("surface", _TEXT, nullable=False),
        pa.field("entity_id", _TEXT, nullable=False),
        pa.field("prior", pa.float32(), nullable=False),  # P(entity | surface), 0 to 1
        pa.field("agreement", pa.float32(), nullable=False),  # cosine with the rest of the text
        pa.field("context_score", pa.float32(), nullable=False),  # posterior given the text, 0 to 1
        pa.field("rank", pa.int32(), nullable=False),  # 0 is the best candidate of the mention
        # What else spoke for or against it, names with commas: "plural,name,case_fits".
        pa.field("reasons", _TEXT, nullable=False),
    ]
)

ENTITY_SCORES = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("entity_id", _TEXT, nullable=False),
        pa.field("clip_score", pa.float32(), nullable=False),  # cosine, -1 to 1
        # In the image: settled entities first, each part by clip_score. 0 is what the image shows
        # best of what its mentions settled on.
        pa.field("rank", pa.int32(), nullable=False),
        # P(entity | text, image) among the candidates of a mention, the best of its mentions.
        pa.field("posterior", pa.float32(), nullable=False),
        pa.field("settled", pa.bool_(), nullable=False),  # the best candidate of some mention
    ]
)

TEXT_REGIONS = pa.schema(
    [
        # One polygon is eight numbers x0 y0 … x3 y3 in pixels of the EXIF-turned original.
        pa.field("boxes", pa.list_(pa.list_(pa.float32(), 8)), nullable=False),
        # That it is text: after the second look if there was one; the text map's own beside it.
        pa.field("confidences", pa.list_(pa.float32()), nullable=False),
        pa.field("detector_confidences", pa.list_(pa.float32()), nullable=False),
        pa.field("areas", pa.list_(pa.float32()), nullable=False),  # polygon / image, 0 to 1
        pa.field("status", _TEXT, nullable=False),
    ]
)

# How well the alt text fits the image as it is, and with its text regions covered up. All numbers
# are null unless the status is ok; skipped is also what has no region to cover.
MASKED_SCORES = pa.schema(
    [
        pa.field("caption_score", pa.float32()),  # cosine of alt text and image, -1 to 1
        pa.field("masked_score", pa.float32()),  # cosine of alt text and covered image
        pa.field("masked_area", pa.float32()),  # share of the image that was covered, 0 to 1
        pa.field("status", _TEXT, nullable=False),
    ]
)

# One row per sample of a training shard, in tar order: images are read by offset, the rest here.
TRAINING_SAMPLES = pa.schema(
    [
        pa.field("uid", _TEXT, nullable=False),
        pa.field("key", _TEXT, nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("alt_text", _TEXT, nullable=False),
        pa.field("labels", pa.list_(pa.int32()), nullable=False),  # class indices, best first
    ]
)

# Sorted by class_index, which an entity keeps for ever: a vocabulary only grows.
VOCABULARY = pa.schema(
    [
        pa.field("class_index", pa.int32(), nullable=False),
        pa.field("entity_id", _TEXT, nullable=False),
        pa.field("name", _TEXT, nullable=False),
        pa.field("description", _TEXT, nullable=False),
        pa.field("images", pa.int64(), nullable=False),  # training images in this version, may be 0
    ]
)


def image_embeddings_schema(dim: int) -> pa.Schema:
    """Row-aligned float16 unit vectors of ``dim`` numbers; zeros where the status is not ok.

    Not null, since released pyarrow writes null fixed-size lists that it cannot read back
    (https://github.com/apache/arrow/issues/35692).
    """
    return pa.schema(
        [
            pa.field("embedding", pa.list_(pa.float16(), dim), nullable=False),
            pa.field("status", _TEXT, nullable=False),
        ]
    )


def empty(schema: pa.Schema) -> pa.Table:
    """A table of no rows."""
    return schema.empty_table()


def from_rows(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table of ``rows``, checked against ``schema``: missing non-null fields are errors."""
    table = pa.Table.from_pylist(rows, schema=schema)
    return checked(table, schema)


def checked(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return ``table`` cast to ``schema``, or raise ``ValueError`` where it does not fit."""
    if table.column_names != schema.names:
        raise ValueError(f"columns are {table.column_names}, the schema has {schema.names}")
    table = table.cast(schema)
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise ValueError(f"column '{field.name}' has nulls and must not")
    return table


def to_parquet(table: pa.Table) -> bytes:
    """The Parquet file of a table; the same table gives the same bytes."""
    # Dictionaries for texts alone: of numbers, embeddings above all, they save nothing, and reading
    # float16 vectors back through one takes seven times as long.
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=texts)
    return sink.getvalue()


def to_npy(array: np.ndarray) -> bytes:
    """The file of an array, as numpy writes it."""
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()


def from_npy(data: bytes) -> np.ndarray:
    """The array of such a file's bytes."""
    array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def from_parquet(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """The table of a Parquet file's bytes, or some columns of it, as far as they are there."""
    return _read(pa.BufferReader(data), columns)


def read_parquet(
    path: Path, *, memory_map: bool = False, columns: list[str] | None = None
) -> pa.Table:
    """The table of a local Parquet file, or some columns of it, as far as they are there."""
    return _read(path, columns, memory_map=memory_map)


def _read(source: Any, columns: list[str] | None = None, **options: Any) -> pa.Table:
    # Not pq.read_table, and no threads: it leaves one behind that, met by the interpreter's end,
    # aborts the process (134), in one short process of three here; with threads in the pool alone
    # still in one of some hundred. https://github.com/apache/arrow/issues/33975
    return pq.ParquetFile(source, **options).read(columns=columns, use_threads=False)
