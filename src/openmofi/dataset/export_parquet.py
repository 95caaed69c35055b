"""Training shards as a folder of Parquet files: what Hugging Face's ``datasets`` reads."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openmofi.database import working_database
from openmofi.dataset.exporting import ExportShard, export_shards, read_samples, whole_folder
from openmofi.dataset.reading import kept_samples
from openmofi.dataset.vocabulary import read_vocabulary
from openmofi.progress import image_bar
from openmofi.versions import Manifest, read_manifest

_ROWS = 100  # of a group: what one random read decodes, and what memory holds
_MOST_NAMES = 10_000  # classes; every file repeats their names

_SCHEMA = pa.schema(
    [
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        pa.field("alt_text", pa.string()),
        pa.field("labels", pa.list_(pa.int64())),  # class indices, best first
        pa.field("entity_ids", pa.list_(pa.string())),  # of the labels
        pa.field("entities", pa.list_(pa.string())),  # their names
        pa.field("uid", pa.string()),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
    ]
)

_README = """\
---
configs:
- config_name: default
  data_files:
{files}
---

# A data set of OpenMOFI

{rows}, {classes} classes. Made of `{uri}` (data set `{dataset}`).

    from datasets import load_dataset

    data = load_dataset("the/path/of/this/folder")

`labels` are class indices, best first; `entity_ids` and `entities` are their ids and names. `url`
and `licence` are what the crawl said of the picture, null where it said nothing.
"""

_ORIGINS = """
SELECT url, licence FROM wanted LEFT JOIN (
    SELECT DISTINCT ON (uid) uid, url, licence FROM origins ORDER BY uid, number
) USING (uid) ORDER BY place
"""


@dataclass(frozen=True)
class ParquetExport:
    """What was written: the folder, and files and samples of each split."""

    out: Path
    files: Mapping[str, int]
    samples: Mapping[str, int]


def export_parquet(uri: str, out: Path) -> ParquetExport:
    """Write training shards as ``data/train-00000-of-00042.parquet`` …, and a ``README.md``.

    A file for each training shard, in its order, with the picture's bytes as they are. Samples
    that were taken down are left out, and so is a file of no sample.

    Args:
        uri: Manifest URI of kind ``training_shards``.
        out: A folder that is not there yet.

    Raises:
        InputError: ``out`` is there, or cannot be written.
        ShardError: A tar is not what the manifest says.
    """
    manifest = read_manifest(uri, "training_shards")
    entities = read_vocabulary(manifest).to_pylist()
    with whole_folder(out) as folder:
        splits = export_shards(manifest)
        _write_files(manifest, splits, entities, folder / "data")
        samples = {
            split: sum(shard.samples.num_rows for shard in part) for split, part in splits.items()
        }
        text = _readme(manifest, samples, len(entities))
        (folder / "README.md").write_text(text, encoding="utf-8")
    return ParquetExport(out, {split: len(part) for split, part in splits.items()}, samples)


def _write_files(
    manifest: Manifest,
    splits: Mapping[str, list[ExportShard]],
    entities: list[dict[str, Any]],
    folder: Path,
) -> None:
    folder.mkdir()
    schema = _SCHEMA.with_metadata({"huggingface": json.dumps(_features(entities))})
    shards = [shard for part in splits.values() for shard in part]
    total = sum(shard.samples.num_rows for shard in shards)
    with _origins(manifest, shards) as origins, image_bar("Parquet", total) as advance:
        for split, part in splits.items():
            for number, shard in enumerate(part):
                rows = _rows(read_samples(manifest, shard), origins, entities)
                path = folder / f"{split}-{number:05d}-of-{len(part):05d}.parquet"
                with pq.ParquetWriter(path, schema, compression="zstd") as writer:
                    while group := list(islice(rows, _ROWS)):
                        writer.write_table(pa.Table.from_pylist(group, schema=schema))
                        advance(len(group))


def _rows(
    samples: Iterable[tuple[Mapping[str, Any], Mapping[str, bytes]]],
    origins: Iterator[tuple[str | None, str | None]],
    entities: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Rows of `_SCHEMA`; takes as many origins as there are samples."""
    for row, files in samples:
        extension, picture = next(iter(files.items()))
        url, licence = next(origins)
        yield {
            "image": {"bytes": picture, "path": f"{row['uid']}.{extension}"},
            "alt_text": row["alt_text"],
            "labels": row["labels"],
            "entity_ids": [entities[label]["entity_id"] for label in row["labels"]],
            "entities": [entities[label]["name"] for label in row["labels"]],
            "uid": row["uid"],
            "url": url,
            "licence": licence,
        }


@contextlib.contextmanager
def _origins(
    manifest: Manifest, shards: Iterable[ExportShard]
) -> Iterator[Iterator[tuple[str | None, str | None]]]:
    """URL and licence of every sample, in the shards' order.

    The pool has them, in another order, and there may be more than the memory holds.
    """
    with working_database("export") as database:
        database.execute("CREATE TABLE wanted (place BIGINT, uid VARCHAR)")
        first = 0
        for shard in shards:
            uids = shard.samples.column("uid")
            places = pa.array(range(first, first + len(uids)), pa.int64())
            database.register("shard_wanted", pa.table({"place": places, "uid": uids}))
            database.execute("INSERT INTO wanted FROM shard_wanted")
            first += len(uids)
        database.execute(
            "CREATE TABLE origins (number BIGINT, uid VARCHAR, url VARCHAR, licence VARCHAR)"
        )
        for number, samples in enumerate(kept_samples(manifest)):
            database.register("pool_samples", samples)
            database.execute(
                f"INSERT INTO origins SELECT {number}, uid, url, licence FROM pool_samples"
            )
        blocks = database.sql(_ORIGINS).to_arrow_reader(10_000)
        yield (
            pair
            for block in blocks
            for pair in zip(*(column.to_pylist() for column in block.columns), strict=True)
        )


def _features(entities: list[dict[str, Any]]) -> dict[str, Any]:
    """What ``datasets`` finds in a file's schema: which column is a picture, which a class."""
    text = {"dtype": "string", "_type": "Value"}
    texts = {"feature": text, "_type": "Sequence"}  # releases before 4 know no "List"
    label: dict[str, Any] = {"dtype": "int64", "_type": "Value"}
    if 0 < len(entities) <= _MOST_NAMES:
        label = {"names": _class_names(entities), "_type": "ClassLabel"}
    features: dict[str, Any] = dict.fromkeys(_SCHEMA.names, text)
    features |= {"image": {"_type": "Image"}, "labels": {"feature": label, "_type": "Sequence"}}
    features |= {"entity_ids": texts, "entities": texts}
    return {"info": {"features": features}}


def _class_names(entities: list[dict[str, Any]]) -> list[str]:
    """A name for each class, no two alike: ``datasets`` refuses others."""
    times = Counter(entity["name"] for entity in entities)
    names = [
        entity["name"]
        if times[entity["name"]] == 1
        else f"{entity['name']} ({entity['entity_id']})"
        for entity in entities
    ]
    return names if len(set(names)) == len(names) else [entity["entity_id"] for entity in entities]


def _readme(manifest: Manifest, samples: Mapping[str, int], classes: int) -> str:
    named = {split: number for split, number in samples.items() if number}
    return _README.format(
        files="\n".join(f"  - split: {split}\n    path: data/{split}-*" for split in named),
        rows=" and ".join(f"{number} {split}" for split, number in named.items()) + " samples",
        classes=classes,
        uri=manifest.uri,
        dataset=manifest.content["dataset"],
    )
