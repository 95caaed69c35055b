"""Text regions with their pictures, made up, and a source of them in memory."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from openmofi.records import TEXT_REGIONS
from openmofi.shards import write_tar
from openmofi.textregions.preview.source import Ints, Regions, regions_of

# As other programs would write it: columns may hold nulls.
SCHEMA = pa.schema(
    [("shard", pa.string()), ("key", pa.string())]
    + [field.with_nullable(True) for field in TEXT_REGIONS]
)


class Found(NamedTuple):
    """One box, upright: confidence, corners in pixels, and the detector's own confidence."""

    confidence: float
    corners: tuple[float, float, float, float]  # left, top, right, bottom
    detector: float | None = None


def row(
    key: str,
    boxes: Sequence[Found] = (),
    *,
    shard: str = "s0",
    status: str = "ok",
    size: tuple[int, int] = (100, 100),
) -> dict[str, Any]:
    """A row of a regions file; areas follow from the corners."""
    areas = [(r - x) * (b - y) / (size[0] * size[1]) for _, (x, y, r, b), _ in boxes]
    return {
        "shard": shard,
        "key": key,
        "boxes": [[x, y, r, y, r, b, x, b] for _, (x, y, r, b), _ in boxes],
        "confidences": [one.confidence for one in boxes],
        "detector_confidences": [
            one.confidence if one.detector is None else one.detector for one in boxes
        ],
        "areas": areas,
        "status": status,
    }


def square(confidence: float, area: float, detector: float | None = None) -> Found:
    """A box that covers this share of a picture of 100 x 100 pixels."""
    side = 100 * area**0.5
    return Found(confidence, (0, 0, side, side), detector)


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(one) for one in rows], schema=SCHEMA)


def random_rows(number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Pictures of up to four boxes, some of them failed; every seventh confidence is 0.5 itself."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(number):
        boxes = [
            square(0.5 if rng.random() < 0.14 else float(rng.random()), float(rng.random() ** 5))
            for _ in range(rng.integers(0, 5))
        ]
        failed = rng.random() < 0.05
        status = "failed" if failed else "ok"
        rows.append(row(f"{place:05d}", () if failed else boxes, status=status))
    return rows


def picture_of(
    colour: tuple[int, int, int] = (90, 90, 90),
    size: tuple[int, int] = (100, 100),
    *,
    turned: bool = False,
) -> bytes:
    """A JPEG; ``turned`` says in EXIF that it lies on its side."""
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    sink = io.BytesIO()
    Image.new("RGB", size, colour).save(sink, "JPEG", quality=95, exif=exif.tobytes())
    return sink.getvalue()


def write_pairs(folder: Path, pictures: Mapping[str, Mapping[str, bytes]]) -> Path:
    """Tars by shard and key."""
    folder.mkdir(exist_ok=True)
    for shard, samples in pictures.items():
        write_tar(
            folder / f"{shard}.tar",
            [(key, {"txt": b"a text", "jpg": data}) for key, data in samples.items()],
        )
    return folder


def write_regions(path: Path, rows: Sequence[Mapping[str, Any]], *without: str) -> Path:
    """A regions file, less some columns."""
    table = table_of(rows)
    pq.write_table(table.drop_columns(list(without)), path)
    return path


class InMemory:
    """A source of rows; every picture is the same unless named."""

    name = "regions in memory"
    second_look = False

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        pictures: Mapping[str, bytes | None] | None = None,
        batch: int = 7,
    ) -> None:
        self.rows, self.pictures, self.batch = rows, pictures or {}, batch
        self.read: list[str] = []
        self._usual = picture_of()

    def tables(self) -> Iterator[pa.Table]:
        for start in range(0, len(self.rows), self.batch):
            yield table_of(self.rows[start : start + self.batch])

    def chosen(self, rows: Ints) -> Iterator[tuple[Regions, bytes | None]]:
        for place in rows.tolist():
            (regions,) = regions_of(table_of([self.rows[place]]), place)
            self.read.append(regions.key)
            yield regions, self.pictures.get(regions.key, self._usual)
