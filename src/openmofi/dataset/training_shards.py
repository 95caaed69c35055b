"""`build_shards`: kept samples copied once into training tars, in a seeded global shuffle.

The order is a hash of seed and uid, so it needs no memory and no random state; images are read by
range, one training shard at a time, so memory holds one shard's bytes per worker.
"""

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from PIL import Image
from pyarrow import compute

from openmofi.config import parse_config
from openmofi.database import first_row, working_database
from openmofi.dataset.config import ShardsConfig
from openmofi.dataset.takedown.forgotten import forgotten_uids
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.errors import ShardError
from openmofi.images import image_id
from openmofi.keys import hash_file, hash_json
from openmofi.progress import bar, say, timed
from openmofi.records import TRAINING_SAMPLES, from_parquet, from_rows, to_parquet
from openmofi.shards import TarSample, write_tar
from openmofi.store_wait import mapped
from openmofi.tombstones import read_tombstones
from openmofi.versions import Manifest, manifest_key, write_manifest

KIND = "training_shards"
STAGE_VERSION = 1
SPLITS = ("train", "validation")

_READERS = 8  # ranged gets at once; on a remote store each one mostly waits
_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}

_PLAN = """
CREATE TABLE plan AS SELECT *, row_number() OVER (
    PARTITION BY split ORDER BY md5('{seed}/order/' || uid), pool, row
) - 1 AS place FROM kept ORDER BY split, place
"""


def build_shards(dataset: str, *, config: Mapping[str, Any] | None = None, workers: int = 1) -> str:
    """Write a data set as training shards, without what was taken down since it was assembled.

    Args:
        dataset: Manifest URI of kind ``dataset``.
        config: Values of `ShardsConfig`.
        workers: Shards written at once, by threads: the work is reading and writing.

    Returns:
        Manifest URI of kind ``training_shards``.
    """
    parsed = parse_config(ShardsConfig, config, where="training shards config")
    source = read_dataset(dataset)
    gone = forgotten_uids(source, read_tombstones(source.store))
    recipe = [KIND, STAGE_VERSION, source.manifest.digest, parsed.model_dump()]
    digest = hash_json([*recipe, gone] if gone else recipe)
    if source.store.exists(manifest_key(KIND, digest)):
        say(f"training shards: reused {digest}")
        return Manifest(source.store, KIND, digest).uri
    vocabulary = source.vocabulary()
    with working_database("training-shards") as database:
        _plan(database, source, parsed.seed, gone)
        writer = _Writer(source, digest, parsed.samples_per_shard, vocabulary, database)
        with timed("training shards: write"):
            splits = writer.write_all(workers)
    content = {
        "dataset": source.manifest.digest,
        "dataset_uri": source.uri,
        "config": parsed.model_dump(),
        "vocabulary": source.content["vocabulary"],
        "classes": vocabulary.num_rows,
        "splits": splits,
        "rows": {split: sum(shard["rows"] for shard in splits[split]) for split in SPLITS},
    }
    return write_manifest(source.store, KIND, digest, content).uri


def _plan(
    database: duckdb.DuckDBPyConnection, source: Dataset, seed: int, gone: Sequence[str]
) -> None:
    """The table ``plan``: every kept sample with its place in its split, but those gone."""
    database.execute(
        "CREATE TABLE kept (pool INTEGER, row INTEGER, split VARCHAR, uid VARCHAR, "
        "image_id VARCHAR, start BIGINT, size BIGINT, alt_text VARCHAR, labels INTEGER[])"
    )
    for number, shard in enumerate(source.shards):
        kept = source.kept(shard)
        left = compute.invert(compute.is_in(kept.column("uid"), pa.array(gone, pa.string())))
        database.register("shard_kept", kept.filter(left))
        samples = from_parquet(source.store.get(shard.samples_key))
        rows = pa.array(range(samples.num_rows), pa.int32())
        database.register("shard_samples", samples.append_column("row", rows))
        database.execute(
            f"INSERT INTO kept SELECT {number}, k.row, k.split, s.uid, s.image_id, "
            's."offset", s.length, s.alt_text, k.labels FROM shard_kept k '
            "JOIN shard_samples s ON s.row = k.row ORDER BY k.row"
        )
    database.execute(_PLAN.format(seed=seed))


@dataclass(frozen=True)
class _Writer:
    source: Dataset
    digest: str
    samples_per_shard: int
    vocabulary: pa.Table
    database: duckdb.DuckDBPyConnection

    def write_all(self, workers: int) -> dict[str, list[dict[str, Any]]]:
        """Entries of all shards by split; those that an interrupted run has finished are reused."""
        wanted = [(split, number) for split in SPLITS for number in range(self._shards(split))]
        present = {info.key for info in self.source.store.list(f"{KIND}/{self.digest}/")}
        done = {one for one in wanted if f"{self._prefix(*one)}.json" in present}
        say(f"training shards: {len(wanted)} shards, {len(done)} reused")

        def write(one: tuple[str, int]) -> dict[str, Any]:
            if one in done:
                entry: dict[str, Any] = json.loads(
                    self.source.store.get(f"{self._prefix(*one)}.json")
                )
                return entry
            return self._write(*one)

        splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
        with ThreadPoolExecutor(max(1, workers)) as pool:
            entries = mapped(pool, write, wanted)
            shown = bar(entries, label="training shards", total=len(wanted), unit="shard")
            for (split, _), entry in zip(wanted, shown, strict=True):
                splits[split].append(entry)
        return splits

    def _prefix(self, split: str, number: int) -> str:
        return f"{KIND}/{self.digest}/{split}-{number:05d}"

    def _shards(self, split: str) -> int:
        query = "SELECT count(*) FROM plan WHERE split = ?"
        (number,) = first_row(self.database, query, [split]) or (0,)
        return -(-int(number) // self.samples_per_shard)

    def _write(self, split: str, number: int) -> dict[str, Any]:
        """Tar, then index, then the entry that says they are whole."""
        rows = self._rows(split, number)
        prefix, store = self._prefix(split, number), self.source.store
        with tempfile.TemporaryDirectory(prefix="openmofi-shard-") as folder:
            path = Path(folder, "shard.tar")
            written = write_tar(path, self._samples(rows))
            entry: dict[str, Any] = {
                "tar_key": f"{prefix}.tar",
                "index_key": f"{prefix}.parquet",
                "rows": len(rows),
                "digest": hash_file(path),
            }
            store.put_file(entry["tar_key"], path)
        store.put(entry["index_key"], to_parquet(_index(rows, written)))
        store.put(f"{prefix}.json", json.dumps(entry, sort_keys=True).encode())
        return entry

    def _rows(self, split: str, number: int) -> list[dict[str, Any]]:
        first = number * self.samples_per_shard
        # A cursor of its own: a connection serves one thread at a time.
        with contextlib.closing(self.database.cursor()) as cursor:
            table: pa.Table = cursor.sql(
                f"SELECT * FROM plan WHERE split = '{split}' AND place >= {first} "
                f"AND place < {first + self.samples_per_shard} ORDER BY place"
            ).to_arrow_table()
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def _samples(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, bytes]]]:
        images = self._images(rows)
        classes = sorted({label for row in rows for label in row["labels"]})
        taken = self.vocabulary.take(pa.array(classes, pa.int64())).to_pylist()
        entities = dict(zip(classes, taken, strict=True))
        for row, image in zip(rows, images, strict=True):
            yield (
                _key(row),
                {
                    _extension(image): image,
                    "txt": row["alt_text"].encode(),
                    "json": _sidecar(row, entities),
                },
            )

    def _images(self, rows: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """The rows' image bytes, read in the order in which they lie, returned in that of rows."""
        pools = self.source.shards

        def read(index: int) -> bytes:
            row = rows[index]
            tar_key = pools[row["pool"]].tar_key
            data = self.source.store.get_range(tar_key, row["start"], row["size"])
            if image_id(data) != row["image_id"]:
                raise ShardError(f"{tar_key}: sample {row['uid']} is not the image that was listed")
            return data

        order = sorted(range(len(rows)), key=lambda i: (rows[i]["pool"], rows[i]["start"]))
        with ThreadPoolExecutor(_READERS) as pool:
            found = dict(zip(order, mapped(pool, read, order), strict=True))
        return [found[index] for index in range(len(rows))]


def _key(row: Mapping[str, Any]) -> str:
    return f"{row['place']:09d}"


def _sidecar(row: Mapping[str, Any], entities: Mapping[int, Mapping[str, Any]]) -> bytes:
    named = [entities[label] for label in row["labels"]]
    body = {
        "uid": row["uid"],
        "labels": row["labels"],
        "entity_ids": [entity["entity_id"] for entity in named],
        "entities": [
            {"id": e["entity_id"], "name": e["name"], "description": e["description"]}
            for e in named
        ],
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _extension(data: bytes) -> str:
    """The extension that names the bytes' true format, whatever the crawl called it."""
    with Image.open(io.BytesIO(data)) as image:
        name = image.format or ""
    return _EXTENSIONS.get(name, name.lower())


def _index(rows: Sequence[Mapping[str, Any]], written: Sequence[TarSample]) -> pa.Table:
    images = [next(iter(sample.members.values())) for sample in written]
    return from_rows(
        [
            {
                "uid": row["uid"],
                "key": sample.key,
                "offset": image.offset,
                "length": image.length,
                "alt_text": row["alt_text"],
                "labels": row["labels"],
            }
            for row, sample, image in zip(rows, written, images, strict=True)
        ],
        TRAINING_SAMPLES,
    )
