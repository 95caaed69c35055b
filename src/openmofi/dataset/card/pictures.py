"""The pictures of the page with their alt texts, read shard by shard; small copies that fit."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from openmofi.dataset.assembly.inputs import PoolTables
from openmofi.dataset.card.choose import Place
from openmofi.dataset.card.mentions import Piece, Span, segments, shortened
from openmofi.errors import OpenMofiError
from openmofi.images import ImageProblemError, decode_image
from openmofi.progress import bar

_SIDES = (128, 96, 72, 56, 40, 24)  # pixels of the longer side, the first that fits
_QUALITY = 75
_PREFIX = "data:image/jpeg;base64,"

Labels = Sequence[tuple[str, float]]


class Shown(NamedTuple):
    """One sample of the page."""

    jpeg: bytes  # at most 128 pixels a side; empty: no picture, or it does not decode
    pieces: Sequence[Piece]  # of the alt text
    labels: Labels  # entity and score, best first
    name: str  # shard and key


def read_shown(
    tables: PoolTables, places: Iterable[Place], labels: Mapping[int, Labels]
) -> dict[int, Shown]:
    """The samples at some places, by id. Each shard's tables are read once."""
    by_shard: dict[int, list[Place]] = {}
    for place in sorted(set(places)):
        by_shard.setdefault(place.shard, []).append(place)
    found: dict[int, Shown] = {}
    for number, wanted in bar(by_shard.items(), label="card", unit="shard", total=len(by_shard)):
        found.update(_of_shard(tables, number, wanted, labels))
    return found


def data_uri(jpeg: bytes, most_bytes: int) -> str:
    """A copy as a data URI of at most so many characters; empty if none fits."""
    if not jpeg or _length(jpeg) <= most_bytes:
        return _encoded(jpeg) if jpeg else ""
    picture = Image.open(io.BytesIO(jpeg))
    for side in _SIDES[1:]:
        small = small_jpeg(picture, side)
        if _length(small) <= most_bytes:
            return _encoded(small)
    return ""


def small_jpeg(picture: Image.Image, side: int) -> bytes:
    """A JPEG of at most so many pixels a side, without the original's metadata."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    sink = io.BytesIO()
    small.save(sink, "JPEG", quality=_QUALITY, optimize=True)
    return sink.getvalue()


def _of_shard(
    tables: PoolTables, number: int, wanted: Sequence[Place], labels: Mapping[int, Labels]
) -> Iterator[tuple[int, Shown]]:
    work = tables.work[number]
    columns = ["key", "offset", "length", "alt_text"]
    rows = pa.array([place.row for place in wanted], pa.int32())
    samples = tables.read("samples", work).select(columns).take(rows).to_pylist()
    mentions: dict[int, list[dict[str, Any]]] = {}
    if tables.has("mentions"):
        table = tables.read("mentions", work)
        here = pc.and_(pc.is_in(table["row"], rows), pc.equal(table["field"], "alt_text"))
        for one in table.filter(here).to_pylist():
            mentions.setdefault(one["row"], []).append(one)
    for place, sample in zip(wanted, samples, strict=True):
        known = labels.get(place.id, ())
        spans = _spans(mentions.get(place.row, ()), [entity for entity, _ in known])
        pieces = segments(*shortened(sample["alt_text"], spans))
        jpeg = _copy(tables, work.tar_key, sample["offset"], sample["length"])
        yield place.id, Shown(jpeg, pieces, known, f"{work.shard}/{sample['key']}")


def _spans(mentions: Iterable[Mapping[str, Any]], labels: Sequence[str]) -> list[Span]:
    """Labels first, then the likeliest candidates of the other mentions; longer before shorter."""
    ordered = sorted(
        (one for one in mentions if one["entity_id"] in labels or one["rank"] == 0),
        key=lambda one: (
            one["entity_id"] not in labels,
            one["start"] - one["end"],
            one["start"],
            one["entity_id"],
        ),
    )
    return [Span(one["start"], one["end"], one["entity_id"]) for one in ordered]


def _copy(tables: PoolTables, tar_key: str, offset: int, length: int) -> bytes:
    if offset < 0:
        return b""
    try:
        picture = decode_image(tables.store.get_range(tar_key, offset, length))
    except (ImageProblemError, OpenMofiError):
        return b""
    return small_jpeg(picture, _SIDES[0])


def _length(jpeg: bytes) -> int:
    return len(_PREFIX) + 4 * ((len(jpeg) + 2) // 3)


def _encoded(jpeg: bytes) -> str:
    return _PREFIX + base64.b64encode(jpeg).decode()
