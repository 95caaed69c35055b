"""Text regions of a folder of tars, without a store: one Parquet file to look at or measure on."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from openmofi.config import parse_config
from openmofi.errors import InputError, ShardError
from openmofi.files import replacing
from openmofi.images import ImageProblemError, decode_image
from openmofi.ingest.sources import IMAGE_EXTENSIONS
from openmofi.progress import image_bar
from openmofi.records import TEXT_REGIONS, Status, from_rows
from openmofi.shards import TarReader, TarSample, index_tar
from openmofi.textregions.config import DetectConfig
from openmofi.textregions.detector import TextDetector, detector_digests, load_detector
from openmofi.textregions.rows import region_rows
from openmofi.workers import run_here, run_in_processes

_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        *TEXT_REGIONS,
    ]
)
_METADATA = b"openmofi"
_PART = 64  # images that a process takes at once


def detect_pairs(
    pairs: Path, out: Path, *, config: Mapping[str, Any] | None = None, workers: int = 1
) -> dict[str, int]:
    """Detect text in every image of the tars in a folder.

    Args:
        pairs: Folder of WebDataset tars.
        out: Parquet file to write: shard, key and the columns of `records.TEXT_REGIONS`.
        config: Values of `DetectConfig`.
        workers: Processes. Each runs the detector on one thread.

    Returns:
        Samples by status.

    Raises:
        InputError: The folder is missing or holds no tar; a model or package is missing.
        ShardError: A tar is unreadable or cut short. Nothing is written.
    """
    parsed = parse_config(DetectConfig, config, where="text detection config")
    digests = detector_digests(parsed)
    parts = list(_parts(pairs))
    job = _Detect(parsed)
    several = workers > 1 and len(parts) > 1
    results = run_in_processes(job, parts, workers) if several else run_here(job, parts)
    made_with = {"kind": "text_regions", "config": parsed.semantic(), "digests": digests}
    schema = _SCHEMA.with_metadata({_METADATA: json.dumps(made_with).encode()})
    counts: Counter[str] = Counter()
    total = sum(len(part.samples) for part in parts)
    with (
        replacing(out) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        image_bar("text regions", total) as advance,
    ):
        for table in _in_order(results):
            counts.update(table.column("status").to_pylist())
            writer.write_table(table.cast(schema))
            advance(table.num_rows)
    return dict(sorted(counts.items()))


def file_has_second_look(schema: pa.Schema) -> bool:
    """Whether the boxes of such a file were looked at a second time; see `TextRule.for_boxes`."""
    try:
        content = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
        return bool(content["config"]["second_look"])
    except (ValueError, KeyError, TypeError):  # a foreign file says nothing of the kind
        return False


class _Part(NamedTuple):
    """Some samples of a tar."""

    number: int
    tar: Path
    samples: list[TarSample]


def _parts(pairs: Path) -> Iterator[_Part]:
    if not pairs.is_dir():
        raise InputError(f"pairs not found: {pairs} is not a folder")
    tars = sorted(pairs.glob("*.tar"))
    if not tars:
        raise InputError(f"{pairs} holds no .tar file")
    number = 0
    for path in tars:
        samples = index_tar(path)
        for start in range(0, len(samples), _PART):
            yield _Part(number, path, samples[start : start + _PART])
            number += 1


@dataclass
class _Detect:
    """What `openmofi.workers` runs."""

    config: DetectConfig
    detector: TextDetector | None = field(default=None, init=False)

    def setup(self) -> None:
        self.detector = load_detector(self.config)

    def run(self, part: _Part) -> pa.Table:
        assert self.detector is not None, "setup() runs first"
        images = _decoded(part, self.config.max_pixels)
        rows = [
            {"shard": part.tar.stem, "key": sample.key, **row}
            for sample, row in zip(
                part.samples, region_rows(self.detector, images, self.config), strict=True
            )
        ]
        return from_rows(rows, _SCHEMA)


def _decoded(part: _Part, max_pixels: int) -> Iterator[tuple[Image.Image | None, Status]]:
    with TarReader(part.tar) as tar:
        for sample in part.samples:
            member = next(
                (sample.members[e] for e in IMAGE_EXTENSIONS if e in sample.members), None
            )
            if member is None:
                yield None, Status.MISSING_IMAGE
                continue
            try:
                data = tar.read(member.offset, member.length)
                yield decode_image(data, max_pixels=max_pixels), Status.OK
            except ImageProblemError as problem:
                yield None, problem.status


def _in_order(results: Iterator[tuple[_Part, pa.Table | str]]) -> Iterator[pa.Table]:
    """Tables by the numbers of their parts, as soon as all before are there."""
    waiting: dict[int, pa.Table] = {}
    upcoming = 0
    for part, result in results:
        if isinstance(result, str):
            raise ShardError(f"{part.tar}: {result}")
        waiting[part.number] = result
        while upcoming in waiting:
            yield waiting.pop(upcoming)
            upcoming += 1
