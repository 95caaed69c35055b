"""Which pictures the report shows, as small data URIs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from openmofi.evaluation.retrieval import FloatArray, IntArray
from openmofi.evaluation.suites import Bench, attacked_picture, read_image
from openmofi.images import decode_image

_THUMBNAIL = 72  # pixels of the longer side
_ATTACKED = 144  # larger, so that the writing can be read
_HITS = 8


@dataclass(frozen=True)
class Hit:
    """One picture in a row of results."""

    index: int
    right: bool  # of the query's class


def spread_queries(column: npt.NDArray[np.float64], wanted: int) -> list[int]:
    """Queries from the worst to the best by a column [N], evenly spread over its ranking."""
    judged = np.flatnonzero(~np.isnan(column))
    order = judged[np.argsort(column[judged], kind="stable")]
    if not len(order):
        return []
    places = np.unique(np.linspace(0, len(order) - 1, min(wanted, len(order))).round().astype(int))
    return [int(order[place]) for place in places]


def nearest(vectors: FloatArray, labels: IntArray, query: int) -> list[Hit]:
    """The first hits of a query, itself left out."""
    similarities = vectors @ vectors[query]
    similarities[query] = -np.inf
    order = np.argsort(-similarities, kind="stable")[: min(_HITS, len(vectors) - 1)]
    return [Hit(int(i), bool(labels[i] == labels[query])) for i in order]


def one_per_class(labels: IntArray, wanted: int) -> list[int]:
    """The first image of classes that are evenly spread over all classes."""
    _, firsts = np.unique(labels, return_index=True)
    places = np.unique(
        np.linspace(0, len(firsts) - 1, min(wanted, len(firsts))).round().astype(int)
    )
    return [int(firsts[place]) for place in places]


def thumbnails(bench: Bench, indices: Sequence[int]) -> dict[int, str]:
    """Index to data URI of the image, small."""
    return {i: _data_uri(read_image(bench, i), _THUMBNAIL) for i in sorted(set(indices))}


def attacked_thumbnails(bench: Bench, indices: Sequence[int]) -> dict[int, str]:
    """Index to data URI of the attacked picture."""
    return {i: _data_uri(decode_image(attacked_picture(bench, i)), _ATTACKED) for i in indices}


def _data_uri(image: Image.Image, side: int) -> str:
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    sink = io.BytesIO()
    small.save(sink, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"
