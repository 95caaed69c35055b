"""Homonyms settled: of the candidates of one mention, which does the picture show?

``P(c | text, image) ∝ P(c | text) · exp(w · cosine(image, text of c))``. The first factor is the
linker's posterior. The second is what the image says: a contrastively trained encoder's scaled
cosine is the logarithm of ``p(image | text) / p(image)`` up to a constant of the image (InfoNCE,
arXiv 1807.03748, section 2.3), which cancels, if ``w`` is the scale that it was trained with.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.labeling.kernels_scores import settle_groups

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_LEAST = np.finfo(np.float32).tiny  # a candidate that the text gave up keeps a chance


class Settled(NamedTuple):
    """What became of each candidate."""

    posterior: Floats  # of its mention's candidates, 0 to 1
    best: npt.NDArray[np.bool_]  # it is the one of its mention


def settle(
    mentions: Ints, context: Floats, cosines: Floats, ranks: Ints, entities: Ints, weight: float
) -> Settled:
    """Posteriors of candidates given text and image.

    Args:
        mentions: ``[candidates]`` number of the mention; the candidates of one stand together.
        context: ``[candidates]`` posterior given the text, 0 to 1.
        cosines: ``[candidates]`` of the entity's text and the image.
        ranks: ``[candidates]`` by the text; settles a tie of equal cosines.
        entities: ``[candidates]`` numbers in the order of ids; settles what is still a tie.
        weight: Log-odds per unit of cosine; 0 leaves it to the text.
    """
    logits = np.log(np.maximum(context, _LEAST).astype(np.float64))
    logits += weight * cosines.astype(np.float64)
    return Settled(*settle_groups(mentions, logits, cosines, ranks, entities))
