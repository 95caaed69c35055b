"""Which pictures the report shows, as small data URIs of a bounded size."""

import base64
import io
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmofi.evaluation.retrieval import FloatArray, IntArray
from openmofi.evaluation.suites import Bench, attacked_picture, read_image
from openmofi.images import decode_image

_SMALL = 72, 6_000  # pixels of the longer side, bytes
_ATTACKED = 144, 16_000  # larger, so that the writing can be read
_QUALITIES = (80, 60, 40, 20)  # the first that keeps within the bytes


def spread_queries(column: npt.NDArray[np.float64], wanted: int) -> list[int]:
    """Queries from the worst to the best by a column [N], evenly spread over its ranking."""
    judged = np.flatnonzero(~np.isnan(column))
    order = judged[np.argsort(column[judged], kind="stable")]
    return [int(order[place]) for place in _spread(len(order), wanted)]


def ranking(vectors: FloatArray, query: int) -> IntArray:
    """All other images [N - 1] from the nearest to the farthest; ties in index order."""
    order = np.argsort(-(vectors @ vectors[query]), kind="stable")
    others: IntArray = order[order != query]
    return others


def one_per_class(labels: IntArray, wanted: int) -> list[int]:
    """The first image of classes that are evenly spread over all classes."""
    _, firsts = np.unique(labels, return_index=True)
    return [int(firsts[place]) for place in _spread(len(firsts), wanted)]


def thumbnails(bench: Bench, indices: Iterable[int]) -> dict[int, str]:
    """Index to data URI of the image, small."""
    return {i: data_uri(read_image(bench, i), *_SMALL) for i in sorted(set(indices))}


def attacked_thumbnails(bench: Bench, indices: Sequence[int]) -> dict[int, str]:
    """Index to data URI of the attacked picture."""
    return {i: data_uri(decode_image(attacked_picture(bench, i)), *_ATTACKED) for i in indices}


def data_uri(image: Image.Image, side: int, most_bytes: int) -> str:
    """The picture as a JPEG of at most ``side`` pixels, coarser where it would be too large."""
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    for quality in _QUALITIES:
        sink = io.BytesIO()
        small.save(sink, format="JPEG", quality=quality)
        if sink.tell() <= most_bytes:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"


def _spread(number: int, wanted: int) -> list[int]:
    """At most ``wanted`` of ``number`` places, evenly spread, the first and the last among them."""
    if not number:
        return []
    places = np.linspace(0, number - 1, min(wanted, number)).round().astype(int)
    return [int(place) for place in np.unique(places)]
