"""Small sources for ingest, and its tables read back."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from openmofi.ingest.run import ingest_pairs, plan_groups
from openmofi.records import from_parquet
from openmofi.shards import write_tar
from openmofi.storage import Store
from openmofi.versions import TableVersion, read_table_version
from support.pictures import encoded


def picture(seed: int = 0, size: tuple[int, int] = (32, 24)) -> Image.Image:
    """An RGB picture of smooth noise, a different one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def jpeg(seed: int = 0, size: tuple[int, int] = (32, 24)) -> bytes:
    return encoded(picture(seed, size))


def members(seed: int, text: str = "a thing", **metadata: Any) -> dict[str, bytes]:
    """The files of one sample in img2dataset's layout."""
    return {"jpg": jpeg(seed), "txt": text.encode(), "json": json.dumps(metadata).encode()}


def crawl_tar(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tar(path, list(samples.items()))
    return path


def crawl(folder: Path, shards: int = 2, samples: int = 3) -> Path:
    """A folder of tars ``00000.tar`` …, whose samples are all sound and different."""
    for shard in range(shards):
        first = shard * samples
        crawl_tar(
            folder / f"{shard:05d}.tar",
            {
                f"{shard:05d}{i:04d}": members(first + i, f"thing number {first + i}")
                for i in range(samples)
            },
        )
    return folder


def photos(folder: Path, count: int = 5) -> Path:
    """Images with sidecar texts."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"photo{i}.jpg").write_bytes(jpeg(i))
        (folder / f"photo{i}.txt").write_text(f"photo number {i}")
    return folder


def write_table(folder: Path, name: str, rows: list[dict[str, str]]) -> Path:
    """A table of samples, in the format that its name ends in."""
    path = folder / name
    match path.suffix:
        case ".csv" | ".tsv":
            with path.open("w", newline="", encoding="utf-8") as file:
                delimiter = "," if path.suffix == ".csv" else "\t"
                writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
                writer.writeheader()
                writer.writerows(rows)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case _:
            pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def ingest(root: str | Path, source: str | Path, **config: Any) -> str:
    """Plan one group and ingest it."""
    (group,) = plan_groups(str(root), source=str(source), groups=1, config=config)
    return ingest_pairs(group)


def read_samples(uri: str) -> tuple[Store, TableVersion, list[dict[str, Any]]]:
    """All rows of a ``samples`` table, each with the tar that it lies in."""
    store, version = read_table_version(uri, "samples")
    rows = []
    for entry in version.shards:
        table = from_parquet(store.get(entry.table_key))
        rows += [{**row, "tar_key": entry.tar_key} for row in table.to_pylist()]
    return store, version, rows


def by_key(uri: str) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in read_samples(uri)[2]}


def statuses(uri: str) -> Sequence[str]:
    return [row["status"] for row in read_samples(uri)[2]]
