"""A judged sample as arrays, and shares of it with intervals that know how it was drawn.

Pairs of one image are not independent, and an audit draws images by stratum with unequal weights.
The interval of a share is Clopper and Pearson's, exact for independent pairs of equal weight, with
an effective number of pairs in place of the number (Korn and Graubard, Survey Methodology 24,
1998: "Confidence intervals for proportions with small expected number of positive counts").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, stdtrit

from openmofi.labeling.quality.calibration import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TWO_SIDED = 0.975  # each side of a two-sided 95 % interval


@dataclass(frozen=True)
class Judged:
    """Pairs of image and entity that somebody or something has judged, in any order.

    Args:
        scores: ``[pairs]`` cosines.
        right: ``[pairs]`` whether the image shows the entity.
        weights: ``[pairs]`` how many images of the pool each stands for, in any unit, above 0.
        images: ``[pairs]`` number of the image, from 0.
        strata: ``[images]`` number of the stratum that each image was drawn from, from 0.
        digest: Of the pairs and what they were judged to be.
        made_with: What the scores were made with, see `Calibration`.
    """

    scores: Floats
    right: Bools
    weights: Floats
    images: Ints
    strata: Ints
    digest: str
    made_with: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def stratum_sizes(self) -> Ints:
        """``[strata]`` images in each."""
        return np.bincount(self.strata)

    @property
    def is_weighted(self) -> bool:
        """Whether pairs stand for different numbers of images."""
        return bool(np.any(self.weights != self.weights[0]))

    def kept(self, cut: float) -> Bools:
        """Which pairs a cut keeps."""
        return self.scores >= cut

    def precision(self, cut: float) -> Interval:
        """Share of right pairs among those that the cut keeps, with its two-sided 95 % interval."""
        kept = self.kept(cut)
        return self._interval(kept & self.right, kept)

    def recall(self, cut: float) -> Interval:
        """Share of the right pairs that the cut keeps, with its two-sided 95 % interval."""
        return self._interval(self.kept(cut) & self.right, self.right)

    def f1(self, cut: float) -> Interval:
        """Harmonic mean of precision and recall, with its two-sided 95 % interval."""
        kept, right = self.kept(cut).astype(np.float64), self.right.astype(np.float64)
        return self._interval(kept * right, (kept + right) / 2)

    def least_precision(self, kept: Bools, confidence: float) -> float:
        """The one-sided lower bound of the precision among ``kept`` pairs."""
        right = kept & self.right
        share, size = self._share(right, kept), self._effective_size(right, kept)
        return float(lower_bound(share * size, size, confidence))

    def least_if_share(
        self, kept: Bools, share: float, confidence: float, fold: float = 1.0
    ) -> float:
        """The lower bound if a share of ``fold`` times the ``kept`` pairs were right.

        Nobody's judgement goes into it, only how many pairs there are, of which images and weights.
        """
        size = fold * self._adjusted(_whole_images(self._by_image(kept)), kept)
        return float(lower_bound(share * size, size, confidence))

    def _interval(self, hits: npt.NDArray[Any], totals: npt.NDArray[Any]) -> Interval:
        share, size = self._share(hits, totals), self._effective_size(hits, totals)
        low = lower_bound(share * size, size, TWO_SIDED)
        high = 1 - lower_bound((1 - share) * size, size, TWO_SIDED)
        # An effective size is rounded: the bounds may miss a share of 0 or 1 by the last bit.
        return Interval(share, min(float(low), share), max(float(high), share))

    def _share(self, hits: npt.NDArray[Any], totals: npt.NDArray[Any]) -> float:
        # Sums, not products of matrices: those of BLAS wait for threads, at this size in vain.
        whole = float(np.sum(self.weights * totals))
        return float(np.sum(self.weights * hits)) / whole if whole else 0.0

    def _effective_size(self, hits: npt.NDArray[Any], totals: npt.NDArray[Any]) -> float:
        """How many independent pairs of equal weight would say as much."""
        share = self._share(hits, totals)
        variance = self._variance(hits, totals, share) if 0 < share < 1 else 0.0
        if not variance:
            # Nothing tells how alike the pairs of an image are: it counts as one.
            return self._adjusted(_whole_images(self._by_image(totals)), totals)
        pairs = float(np.count_nonzero(totals))
        return self._adjusted(min(share * (1 - share) / variance, pairs), totals)

    def _by_image(self, values: npt.NDArray[Any]) -> Floats:
        """``[images]`` weighted sums."""
        sums = np.bincount(self.images, self.weights * values, minlength=len(self.strata))
        return sums.astype(np.float64)

    def _variance(self, hits: npt.NDArray[Any], totals: npt.NDArray[Any], share: float) -> float:
        """Of a share, by linearisation, images drawn with replacement within strata.

        As a design effect has it, n - 1 of the whole cancels: of independent pairs of equal weight
        it is just ``share * (1 - share) / pairs``.
        """
        residuals = self._by_image(hits - share * totals) / np.sum(self.weights * totals)
        sizes = self.stratum_sizes
        means = np.bincount(self.strata, residuals) / np.maximum(sizes, 1)
        means[sizes == 1] = 0.0  # a lone image is held against the whole, whose residuals sum to 0
        squares = (residuals - means[self.strata]) ** 2
        within = np.bincount(self.strata, squares)
        whole = (len(self.strata) - 1) / len(self.strata)
        return float(np.sum(within * sizes / np.maximum(sizes - 1, 1))) * whole

    def _adjusted(self, size: float, totals: npt.NDArray[Any]) -> float:
        """An effective size less what the few degrees of freedom of its variance cost."""
        used = np.flatnonzero(np.bincount(self.images[totals > 0]))
        if len(used) < 2:
            return size
        pairs = int(np.count_nonzero(totals))
        freedom = max(len(used) - len(np.unique(self.strata[used])), 1)
        return float(size * (stdtrit(pairs - 1, TWO_SIDED) / stdtrit(freedom, TWO_SIDED)) ** 2)


def _whole_images(sizes: Floats) -> float:
    """Kish's effective number of images, each as heavy as its pairs together."""
    squares = float(np.sum(sizes**2))
    return float(sizes.sum()) ** 2 / squares if squares else 0.0


def lower_bound(hits: float, size: float, confidence: float) -> float:
    """Clopper and Pearson's one-sided lower bound of a proportion, for fractional counts too.

    Args:
        hits: Successes, 0 to ``size``.
        size: Trials.
        confidence: Of the bound, 0 to 1.
    """
    if hits <= 0:
        return 0.0
    return float(betaincinv(hits, max(size - hits, 0.0) + 1, 1 - confidence))
