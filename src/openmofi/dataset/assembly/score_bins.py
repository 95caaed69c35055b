"""Cosines counted in bins, for the card and for what changed between versions."""

from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

SCORE_BINS = np.linspace(-1, 1, 201)

Counts = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


class Histograms(NamedTuple):
    """Counts by `SCORE_BINS`, each ``int64[200]``, for the card."""

    entities: Counts  # of all entity scores
    masked: Counts  # of the masked scores of pictures with text


def no_histograms() -> Histograms:
    """Nothing counted yet."""
    return Histograms(*np.zeros((2, len(SCORE_BINS) - 1), dtype=np.int64))


def histogram(scores: Scores) -> Counts:
    """How many scores lie in each bin; what is out of range counts at its end."""
    return cast("Counts", np.histogram(np.clip(scores, -1, 1), SCORE_BINS)[0])


def bins_of(scores: Scores) -> npt.NDArray[np.uint8]:
    """The bin of each score, as `histogram` counts it."""
    places = np.searchsorted(SCORE_BINS, scores.astype(np.float64), "right") - 1
    return np.clip(places, 0, len(SCORE_BINS) - 2).astype(np.uint8)
