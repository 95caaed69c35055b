"""The gallery of a model: images of its own training data, which it answers with as neighbours.

Both splits of the training shards are drawn from, without what was taken down. What is said of an
image is what the data set says: uid, URL, licence and its first label. The choice is by uid, which
is a hash: a fair draw that is the same in every run and keeps what it can when the data grow.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image
from pyarrow import compute

from openmofi.errors import ShardError
from openmofi.images import ImageProblemError, decode_image
from openmofi.keys import content_digest, hash_json
from openmofi.progress import bar, say
from openmofi.records import to_npy, to_parquet
from openmofi.registry.gallery_index import ENTRIES_FILE, VECTORS_FILE
from openmofi.versions import Manifest, manifest_key, read_manifest

_BATCH = 64
_DECODERS = 8  # threads; most of their time is reading and Pillow's, outside of Python's lock

ENTRIES = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("entity_id", pa.string()),  # of the first label; null without one
        pa.field("name", pa.string()),
    ]
)


@dataclass(frozen=True)
class Chosen:
    """Which images go into a gallery; none of them is read yet.

    Args:
        shards: Manifest of the training shards.
        rows: ``uid``, ``label`` and where the image lies, by uid.
        digest: Of the choice: 32 hex digits.
    """

    shards: Manifest
    rows: pa.Table
    digest: str


def choose_gallery(model: Manifest, most: int) -> Chosen | None:
    """At most ``most`` images of what a model was trained on; None if it has no gallery.

    Args:
        model: Manifest of kind ``model``.
        most: 0: none.
    """
    digest = model.origin.get("training_shards", "")
    key = manifest_key("training_shards", digest)
    if not most:
        return None
    if not digest or not model.store.exists(key):
        say("register: no neighbours, since its training shards are not in the store")
        return None
    shards = read_manifest(f"{model.store.uri}/{key}", "training_shards")
    rows = _candidates(shards)
    rows = _first_labels(rows.take(compute.sort_indices(rows, [("uid", "ascending")])[:most]))
    return Chosen(shards, rows, hash_json(rows.column("uid").to_pylist())) if len(rows) else None


def write_gallery(chosen: Chosen, model: Manifest, folder: Path) -> str:
    """Embed the images by the model; write vectors and entries; return their digest.

    Args:
        chosen: By `choose_gallery`.
        model: The manifest of the model that embeds.
        folder: Which is there; it gets what `gallery_index.Gallery` reads.

    Raises:
        ShardError: An image does not decode.
    """
    from openmofi.models.encoder import load_encoder

    encoder = load_encoder(model.uri, device="auto")
    parts = [encoder.encode_images(images) for images in _batches(chosen)]
    vectors = np.concatenate(parts).astype(np.float16)
    entries = _entries(chosen)
    (folder / VECTORS_FILE).write_bytes(to_npy(vectors))
    (folder / ENTRIES_FILE).write_bytes(to_parquet(entries))
    return _digest(vectors, entries)


def _digest(vectors: npt.NDArray[np.float16], entries: pa.Table) -> str:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return content_digest(entries.append_column("vector", lists))


def _candidates(shards: Manifest) -> pa.Table:
    """All samples that are left of both splits, with all their labels."""
    from openmofi.dataset.reading import read_index

    parts = []
    for split, listed in shards.content["splits"].items():
        tables = read_index(shards, split)
        for entry, table in zip(listed, tables, strict=True):
            tars = pa.repeat(pa.scalar(entry["tar_key"], pa.string()), len(table))
            plain = table.select(["uid", "offset", "length", "labels"])
            parts.append(plain.append_column("tar", tars))
    nothing = pa.table(
        {"uid": pa.array([], pa.string()), "labels": pa.array([], pa.list_(pa.int32()))}
    )
    return pa.concat_tables(parts) if parts else nothing


def _first_labels(rows: pa.Table) -> pa.Table:
    """The first of ``labels`` as ``label``; null without one."""
    first = [labels[0] if labels else None for labels in rows.column("labels").to_pylist()]
    return rows.drop_columns(["labels"]).append_column("label", pa.array(first, pa.int32()))


def _batches(chosen: Chosen) -> Iterator[Sequence[Image.Image]]:
    """Decoded images in the order of the rows."""
    rows = chosen.rows.to_pylist()
    starts = range(0, len(rows), _BATCH)
    with ThreadPoolExecutor(_DECODERS) as pool:
        for start in bar(starts, label="register: gallery", total=len(starts), unit="batch"):
            batch = rows[start : start + _BATCH]
            yield list(pool.map(lambda row: _image(chosen, row), batch))


def _image(chosen: Chosen, row: dict[str, Any]) -> Image.Image:
    store = chosen.shards.store
    try:
        return decode_image(store.get_range(row["tar"], row["offset"], row["length"]))
    except ImageProblemError as error:
        where = f"{store.uri}/{row['tar']}, sample {row['uid']}"
        raise ShardError(f"{where}: image does not decode ({error.reason})") from error


def _entries(chosen: Chosen) -> pa.Table:
    """What is said of each image, by `ENTRIES`."""
    from openmofi.dataset.reading import kept_samples
    from openmofi.dataset.vocabulary import read_vocabulary

    vocabulary = read_vocabulary(chosen.shards)
    labels, uids = chosen.rows.column("label"), chosen.rows.column("uid").combine_chunks()
    found = [
        part.filter(compute.is_in(part.column("uid"), uids)) for part in kept_samples(chosen.shards)
    ]
    origin = pa.concat_tables(found)
    # The first of a uid: the same picture with the same text may lie in the pool twice.
    place = compute.index_in(uids, origin.column("uid").combine_chunks())
    columns = {
        "uid": uids,
        "url": origin.column("url").take(place),
        "licence": origin.column("licence").take(place),
        "entity_id": vocabulary.column("entity_id").take(labels),
        "name": vocabulary.column("name").take(labels),
    }
    return pa.table(columns).cast(ENTRIES)
