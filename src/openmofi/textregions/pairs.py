"""Text regions of a folder of tars, without a store: one Parquet file to look at or measure on."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.images import ImageProblemError, decode_image
from openmofi.progress import bar
from openmofi.records import TEXT_REGIONS, Status, from_rows
from openmofi.shards import TarReader, TarSample, index_tar
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detect import regions_of
from openmofi.textregions.detector import TextDetector, load_detector

_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        *TEXT_REGIONS,
    ]
)
_IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")


def detect_pairs(
    pairs: Path, out: Path, *, config: Mapping[str, Any] | None = None
) -> dict[str, int]:
    """Detect text in every image of the tars in a folder.

    Args:
        pairs: Folder of WebDataset tars.
        out: Parquet file to write: shard, key, boxes, confidences, areas, status.
        config: Values of `DetectConfig`.

    Returns:
        Samples by status.

    Raises:
        InputError: The folder is missing or holds no tar.
        ShardError: A tar is unreadable or cut short. Nothing is written.
    """
    parsed = parse_config(DetectConfig, config, where="text detection config")
    if not pairs.is_dir():
        raise InputError(f"pairs not found: {pairs} is not a folder")
    tars = sorted(pairs.glob("*.tar"))
    if not tars:
        raise InputError(f"{pairs} holds no .tar file")
    indexed = [(path, index_tar(path)) for path in tars]
    detector = load_detector(parsed)
    counts: Counter[str] = Counter()
    temporary = out.with_name(f".writing-{out.name}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
            for path, samples in bar(indexed, label="text regions", unit="shard"):
                rows = list(_rows(path, samples, detector, parsed.max_pixels))
                counts.update(row["status"] for row in rows)
                writer.write_table(from_rows(rows, _SCHEMA))
        os.replace(temporary, out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return dict(sorted(counts.items()))


def _rows(
    path: Path, samples: list[TarSample], detector: TextDetector, max_pixels: int
) -> Iterator[dict[str, Any]]:
    with TarReader(path) as tar:
        for sample in samples:
            member = next((sample.members[e] for e in _IMAGES if e in sample.members), None)
            image, status = None, Status.OK
            if member is None:
                status = Status.MISSING_IMAGE
            else:
                try:
                    data = tar.read(member.offset, member.length)
                    image = decode_image(data, max_pixels=max_pixels)
                except ImageProblemError as problem:
                    status = problem.status
            yield {
                "shard": path.stem,
                "key": sample.key,
                **regions_of(detector, image, status),
            }
