"""The lowest cut whose precision is as wished with a stated confidence.

Fixed-sequence testing (Learn then Test, arXiv 2110.01052, section 3): which cuts are tested, and
their order, is fixed by scores and weights alone, before it matters who is right. From the highest
downwards, each must show the wished precision by a one-sided bound; the first that does not ends
the walk. So the cut that comes out is too low with probability ``1 - confidence`` at most, for
images like those judged, as long as precision falls with the cut.
"""

from bisect import bisect_left

import numpy as np

from openmofi.errors import InputError
from openmofi.labeling.quality.judged import Bools, Judged

_MOST_CUTS = 50
_STEP = 0.01  # in which a lower precision is looked for
_MOST_FOLD = 1000  # of the sample: more is no advice
_FOLDS = 400  # tried up to there: in steps of a sixtieth
_MOST_COMPARED = 200  # cuts, to find the best


def choose_cut(judged: Judged, precision: float, confidence: float) -> float:
    """The cut, a score of the sample: labels of at least that score are kept.

    Args:
        judged: The sample.
        precision: Least share of right pairs among those kept, above 0, below 1.
        confidence: Of reaching it, above 0, below 1. At 0.5 it is about the estimate itself.

    Raises:
        InputError: No cut shows that precision; the message says the best one, and what would do.
    """
    for name, value in (("precision", precision), ("confidence", confidence)):
        if not 0 < value < 1:
            raise InputError(f"--{name} must lie between 0 and 1, got {value:g}")
    cut = _walk(judged, precision, confidence)
    if cut is None:
        raise InputError(_advice(judged, precision, confidence))
    return cut


def cuts_to_test(judged: Judged, precision: float, confidence: float) -> list[float]:
    """The cuts to test, the highest first: at most 50 from a start down to the lowest score.

    The start keeps a tenth of the pairs, and so many that it would pass with half of the wrong ones
    that are allowed: a single mistake at the top is no verdict. Where that is more than half of the
    sample, it keeps just as many as would pass if all were right. None if the sample has fewer.
    """
    levels = np.unique(judged.scores)[::-1]

    def kept_from(level: int) -> Bools:
        return judged.kept(float(levels[level]))

    def first(share: float) -> int:
        return bisect_left(
            range(len(levels)),
            True,
            key=lambda level: (
                judged.least_if_share(kept_from(level), share, confidence) >= precision
            ),
        )

    tenth = bisect_left(range(len(levels)), len(judged) / 10, key=lambda one: kept_from(one).sum())
    start = max(tenth, first((1 + precision) / 2))
    if start == len(levels) or 2 * kept_from(start).sum() > len(judged):
        start = first(1.0)
    if start == len(levels):
        return []
    places = np.linspace(start, len(levels) - 1, _MOST_CUTS).round().astype(np.int64)
    return [float(cut) for cut in levels[np.unique(places)]]


def _walk(judged: Judged, precision: float, confidence: float) -> float | None:
    found = None
    for cut in cuts_to_test(judged, precision, confidence):
        if judged.least_precision(judged.kept(cut), confidence) < precision:
            break
        found = cut
    return found


def _advice(judged: Judged, precision: float, confidence: float) -> str:
    """What to do without a cut, in one line."""
    said = f"precision {precision:g} with {100 * confidence:g} % confidence"
    lower = next(
        (
            value
            for value in (np.arange(np.ceil(precision / _STEP) - 1, 0, -1) * _STEP).tolist()
            if _walk(judged, value, confidence) is not None
        ),
        None,
    )
    instead = f"--precision {lower:.2f} would do" if lower else "no lower precision would do"
    if not cuts_to_test(judged, precision, confidence):
        more = _more(judged, 1.0, float(judged.scores.min()), precision, confidence)
        return (
            f"{len(judged)} judged pairs are too few for {said}, even if all were right; judge "
            f"{more or 'many more'}, or {instead}"
        )
    levels = np.unique(judged.scores)
    places = np.linspace(0, len(levels) - 1, _MOST_COMPARED).round().astype(np.int64)
    cuts = [float(cut) for cut in levels[np.unique(places)]]
    best = max(cuts, key=lambda cut: judged.least_precision(judged.kept(cut), confidence))
    shown = judged.precision(best)
    # It has to hold the start of the walk, too.
    share = min(shown.estimate, (1 + precision) / 2)
    more = _more(judged, share, best, precision, confidence)
    return (
        f"no cut shows {said}: the best, {best:.4f}, keeps {judged.kept(best).sum()} of "
        f"{len(judged)} pairs at {shown.estimate:.3f} ({shown.low:.3f} to {shown.high:.3f}); "
        + (f"judge {more}, or {instead}" if more else instead)
    )


def _more(judged: Judged, share: float, cut: float, precision: float, confidence: float) -> str:
    """How many more pairs would show it at ``cut``; empty if none or no sensible number would."""
    kept = judged.kept(cut)
    enough = next(
        (
            fold
            for fold in np.geomspace(1, _MOST_FOLD, _FOLDS).tolist()
            if judged.least_if_share(kept, share, confidence, fold) >= precision
        ),
        1.0,
    )
    if share <= precision or enough == 1:
        return ""
    return f"about {int(np.ceil((enough - 1) * len(judged)))} more pairs like these"
