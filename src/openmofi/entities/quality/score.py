"""How good links are: mentions and entities against a gold standard, with what goes wrong most.

A predicted mention is a candidate of rank 0. It is found if its span is exactly a gold span, and
right if its entity is one of those that gold accepts. Every figure is a ratio of sums over
captions; its interval is a percentile bootstrap over captions, which are drawn with replacement.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.entities.quality import errors as score_errors
from openmofi.entities.quality.errors import Confusion, Misfit
from openmofi.entities.quality.gold import GoldCaption, Sample, read_gold, read_sources
from openmofi.entities.quality.judged import Judged, JudgedCaption, judge, read_links
from openmofi.errors import InputError
from openmofi.evaluation.bootstrap import Draws, interval_of, resampled_means

WITHOUT = ("symbols/alphabets",)  # captions of two or three patterns, a fifth of the stamps
_BINS = 10


@dataclass(frozen=True)
class Rate:
    """A share, 0 to 1, with its 95 % interval; ``None`` where nothing was there to share."""

    hits: int
    total: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Figures:
    """The figures of a set of captions."""

    captions: int
    gold: int  # mentions
    predicted: int
    found: int  # in both, by exact span
    precision: Rate
    recall: Rate
    f1: Rate
    links: Rate  # right links of all gold mentions
    ambiguous: Rate  # the same of the gold mentions that are ambiguous
    candidate_recall: Rate  # gold mentions with a right entity at any rank


@dataclass(frozen=True)
class Bin:
    """Found mentions whose score is at least ``low`` and below ``high`` (the last: up to 1)."""

    low: float
    high: float
    count: int
    mean_score: float | None
    right: float | None  # share, 0 to 1


@dataclass(frozen=True)
class Calibration:
    """Whether scores are the chance to be right, over the mentions that were found.

    ``ece`` is the mean distance of score and share right over the bins, weighed by their counts;
    ``brier`` the mean squared distance of score and outcome. ``None`` if nothing was found.
    """

    mentions: int
    ece: float | None
    brier: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Score:
    """All that is known about links."""

    all: Figures
    prefixes: tuple[str, ...]
    without: Figures | None
    left_out: str  # why there is no ``without``; empty if there is
    calibration: Calibration
    confusions: tuple[Confusion, ...]
    spurious: tuple[Misfit, ...]
    missed: tuple[Misfit, ...]
    unjudged: int  # samples of the links that gold does not have


def score_links(
    links: Path, gold: Path, *, pairs: Path | None = None, without: Sequence[str] = WITHOUT
) -> Score:
    """Judge a file of links by a gold standard.

    Args:
        links: Parquet file of ``openmofi entities link``.
        gold: JSONL file, one sample a line.
        pairs: Folder of tars whose ``KEY.json`` say the ``source`` of captions where the gold
            does not; the gold's own folder if ``None``.
        without: Prefixes of sources: all figures are also given without captions from there.

    Raises:
        InputError: A file is missing or bad, or they share no sample.
        ShardError: A tar is cut short.
    """
    if pairs is not None and not pairs.is_dir():
        raise InputError(f"no such folder: {pairs}; --pairs takes a folder of *.tar files")
    captions = read_gold(gold)
    found = read_links(links, captions)
    judged = {one: judge(one, captions[one], found) for one in captions}
    kept, left_out = _split(captions, gold, pairs or gold.parent, without)
    mentions = [mention for one in judged.values() for mention in one.judged]
    return Score(
        all=_figures(judged.values()),
        prefixes=tuple(without),
        without=None if left_out else _figures(judged[one] for one in kept),
        left_out=left_out,
        calibration=_calibration(mentions),
        confusions=score_errors.confusions(mentions),
        spurious=score_errors.spurious(judged.values()),
        missed=score_errors.missed(mentions),
        unjudged=found.unjudged,
    )


def _split(
    captions: Mapping[Sample, GoldCaption], gold: Path, pairs: Path, without: Sequence[str]
) -> tuple[list[Sample], str]:
    """The samples from elsewhere than ``without``, or why they cannot be told apart."""
    sources = read_sources(captions, pairs)
    if missing := len(captions) - len(sources):
        return [], (
            f"{missing} of {len(captions)} captions have no source, neither in {gold} nor as "
            f"KEY.json in a tar of {pairs} (--pairs)"
        )
    kept = [one for one in captions if not sources[one].startswith(tuple(without))]
    return kept, "" if len(kept) < len(captions) else "no caption's source begins so"


class _Counts(NamedTuple):
    """What one caption has."""

    gold: int
    predicted: int
    found: int
    right: int
    ambiguous: int
    ambiguous_right: int
    among: int  # a right entity is among the candidates


def _figures(captions: Iterable[JudgedCaption]) -> Figures:
    counts = np.array([_counts(one) for one in captions], np.int64)
    columns = counts.reshape(-1, len(_Counts._fields)).T
    gold, predicted, found, right, ambiguous, ambiguous_right, among = columns
    hits = np.stack([found, found, 2 * found, right, ambiguous_right, among])
    totals = np.stack([predicted, gold, predicted + gold, gold, ambiguous, gold])
    return Figures(
        len(counts), int(gold.sum()), int(predicted.sum()), int(found.sum()), *_rates(hits, totals)
    )


def _counts(caption: JudgedCaption) -> _Counts:
    judged = caption.judged
    found = sum(one.chosen is not None for one in judged)
    return _Counts(
        gold=len(judged),
        predicted=found + len(caption.spurious),
        found=found,
        right=sum(one.right for one in judged),
        ambiguous=sum(one.mention.ambiguous for one in judged),
        ambiguous_right=sum(one.right and one.mention.ambiguous for one in judged),
        among=sum(one.best_right is not None for one in judged),
    )


def _rates(hits: npt.NDArray[np.int64], totals: npt.NDArray[np.int64]) -> list[Rate]:
    """Ratios of sums [K] from columns [K, captions], all over the same draws of captions."""
    draws, (kinds, captions) = Draws(), hits.shape
    if not captions:
        return [Rate(0, 0, None, None, None)] * kinds
    means = resampled_means(np.concatenate([hits, totals]).T.astype(np.float64), draws)
    with np.errstate(invalid="ignore"):
        ratios = means[:, :kinds] / means[:, kinds:]
    rates = []
    for kind in range(kinds):
        hit, total = int(hits[kind].sum()), int(totals[kind].sum())
        value = hit / total if total else float("nan")
        one = interval_of(value, ratios[:, kind], draws, queries=captions)
        shares = (None if np.isnan(x) else x for x in (one.value, one.low, one.high))
        rates.append(Rate(hit, total, *shares))
    return rates


def _calibration(mentions: Iterable[Judged]) -> Calibration:
    found = [(one.chosen.score, one.right) for one in mentions if one.chosen is not None]
    scores = np.minimum(np.array([score for score, _ in found], np.float64), 1.0)
    right = np.array([is_right for _, is_right in found], np.float64)
    places = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    bins, gap = [], 0.0
    for place in range(_BINS):
        inside = places == place
        count = int(inside.sum())
        mean = float(scores[inside].mean()) if count else None
        share = float(right[inside].mean()) if count else None
        bins.append(Bin(place / _BINS, (place + 1) / _BINS, count, mean, share))
        gap += abs(float(scores[inside].sum() - right[inside].sum()))
    if not found:
        return Calibration(0, None, None, tuple(bins))
    brier = float(np.mean((scores - right) ** 2))
    return Calibration(len(found), gap / len(found), brier, tuple(bins))
