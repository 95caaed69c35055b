"""The cut: how often it is too low, and what is said if there is none."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.labeling.quality.cut import choose_cut, cuts_to_test
from openmofi.labeling.quality.judged import Judged, lower_bound
from support.label_quality import judged_of

WISHED, CONFIDENCE = 0.9, 0.95
DRAWS = 250


def chance_right(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-8 * (scores - 0.3)))


_LEVELS = np.linspace(0, 1, 10_001)
# Scores are uniform: the precision from a cut on is the mean of the chance from there on.
_TRUE = np.cumsum(chance_right(_LEVELS)[::-1])[::-1] / np.arange(len(_LEVELS), 0, -1)


def true_precision(cut: float) -> float:
    return float(np.interp(cut, _LEVELS, _TRUE))


def plain_sample(rng: np.random.Generator) -> Judged:
    scores = rng.random(300)
    return judged_of(scores, rng.random(300) < chance_right(scores))


def sample_of_images(rng: np.random.Generator) -> Judged:
    """One to three labels an image, and half of the time they are right or wrong together."""
    images = np.repeat(np.arange(150), rng.integers(1, 4, 150))
    scores, luck = rng.random(len(images)), rng.random(150)[images]
    own = rng.random(len(images))
    chance = np.where(rng.random(150)[images] < 0.5, luck, own)
    return judged_of(scores, chance < chance_right(scores), images=images)


def naive_cut(judged: Judged) -> float:
    """The lowest whose estimate is as wished."""
    order = np.argsort(-judged.scores)
    estimates = np.cumsum(judged.right[order]) / np.arange(1, len(judged) + 1)
    return float(judged.scores[order][np.flatnonzero(estimates >= WISHED)[-1]])


@pytest.mark.parametrize("draw", [plain_sample, sample_of_images])
def test_the_true_precision_is_as_wished_as_often_as_stated(
    draw: Callable[[np.random.Generator], Judged],
) -> None:
    rng, missed, found, kept = np.random.default_rng(5), 0, 0, []
    for _ in range(DRAWS):
        try:
            cut = choose_cut(draw(rng), WISHED, CONFIDENCE)
        except InputError:
            continue
        found += 1
        kept.append(1 - cut)
        missed += true_precision(cut) < WISHED
    assert missed / DRAWS < 1 - CONFIDENCE + 3 * math.sqrt(0.05 * 0.95 / DRAWS)
    assert found > 0.8 * DRAWS
    assert np.mean(kept) > 0.4  # the best cut would keep 0.66


def test_the_naive_choice_would_fail_that_test() -> None:
    rng = np.random.default_rng(5)
    missed = sum(true_precision(naive_cut(plain_sample(rng))) < WISHED for _ in range(DRAWS))
    assert missed / DRAWS > 0.4


def test_the_cuts_tested_do_not_depend_on_who_is_right() -> None:
    judged = plain_sample(np.random.default_rng(0))
    other = judged_of(judged.scores, ~judged.right)
    assert cuts_to_test(judged, 0.9, 0.95) == cuts_to_test(other, 0.9, 0.95)


def test_the_cuts_tested_are_few_scores_of_the_sample_from_the_top_down() -> None:
    judged = plain_sample(np.random.default_rng(0))
    cuts = cuts_to_test(judged, 0.9, 0.95)
    assert set(cuts) <= set(judged.scores)
    assert cuts == sorted(cuts, reverse=True)
    assert len(cuts) == 50
    assert cuts[-1] == judged.scores.min()


def test_the_walk_starts_where_half_of_the_mistakes_allowed_would_pass() -> None:
    judged = plain_sample(np.random.default_rng(0))
    start = int(judged.kept(cuts_to_test(judged, 0.9, 0.95)[0]).sum())
    assert lower_bound(0.95 * start, start, 0.95) >= 0.9
    assert lower_bound(0.95 * (start - 1), start - 1, 0.95) < 0.9


def test_the_walk_starts_with_a_tenth_of_the_pairs_at_least() -> None:
    scores = np.arange(1000) / 1000
    cuts = cuts_to_test(judged_of(scores, [True] * 1000), 0.5, 0.5)
    assert judged_of(scores, [True] * 1000).kept(cuts[0]).sum() == 100


def test_a_small_sample_starts_where_none_wrong_would_pass() -> None:
    scores = np.arange(40) / 40
    cuts = cuts_to_test(judged_of(scores, [True] * 40), 0.9, 0.95)
    assert judged_of(scores, [True] * 40).kept(cuts[0]).sum() == 29  # 0.9 ** 29 < 0.05


def test_the_walk_ends_at_the_first_cut_that_fails() -> None:
    # Right at the top, wrong in the middle, right below: the whole would pass, the middle not.
    right = [True] * 900 + [False] * 40 + [True] * 200
    judged = judged_of(np.arange(1140) / 1140, right)
    cut = choose_cut(judged, 0.9, 0.95)
    assert 150 < judged.kept(cut).sum() < 240
    assert judged.least_precision(judged.kept(0), 0.95) > 0.9


def test_all_right_keeps_all() -> None:
    assert choose_cut(judged_of(np.arange(1, 101) / 100, [True] * 100), 0.9, 0.95) == 0.01


def test_at_even_odds_it_is_about_the_estimate() -> None:
    rng = np.random.default_rng(2)
    cuts = [choose_cut(plain_sample(rng), 0.9, 0.5) for _ in range(60)]
    missed = np.mean([true_precision(cut) < 0.9 for cut in cuts])
    assert missed < 0.5 + 3 * math.sqrt(0.25 / 60)
    assert np.mean([true_precision(cut) for cut in cuts]) == pytest.approx(0.9, abs=0.03)


def test_equal_scores_are_kept_or_not_together() -> None:
    judged = judged_of([0.3] * 40 + [0.2] * 40, [True] * 40 + [False] * 40)
    assert choose_cut(judged, 0.9, 0.95) == 0.3


def test_pairs_of_a_few_images_are_not_enough() -> None:
    right = [True] * 60
    assert choose_cut(judged_of([0.3] * 60, right), 0.9, 0.95) == 0.3
    with pytest.raises(InputError, match="60 judged pairs are too few"):
        choose_cut(judged_of([0.3] * 60, right, images=np.repeat(np.arange(12), 5)), 0.9, 0.95)


@pytest.mark.parametrize(("precision", "confidence"), [(0, 0.9), (1, 0.9), (0.9, 1), (0.9, 0)])
def test_a_share_outside_is_named(precision: float, confidence: float) -> None:
    with pytest.raises(InputError, match="must lie between 0 and 1, got"):
        choose_cut(judged_of([0.1], [True]), precision, confidence)


def test_too_few_pairs_are_told_with_how_many_more() -> None:
    with pytest.raises(InputError) as caught:
        choose_cut(judged_of(np.arange(20) / 20, [True] * 20), 0.9, 0.95)
    assert str(caught.value).startswith("20 judged pairs are too few for precision 0.9 with 95 %")
    more = int(str(caught.value).split("about ")[1].split()[0])
    assert 9 <= more <= 10
    assert str(caught.value).endswith("or --precision 0.86 would do")


def test_a_precision_out_of_reach_is_told_with_the_best_cut_and_what_would_do() -> None:
    judged = plain_sample(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"no cut shows precision 0\.99 .*: the best") as caught:
        choose_cut(judged, 0.99, 0.95)
    lower = float(str(caught.value).split("--precision ")[1].split()[0])
    assert choose_cut(judged, lower, 0.95)
    with pytest.raises(InputError):
        choose_cut(judged, lower + 0.01, 0.95)


def test_as_many_more_pairs_as_it_says_would_do() -> None:
    judged = plain_sample(np.random.default_rng(0))
    with pytest.raises(InputError, match="judge about") as caught:
        choose_cut(judged, 0.97, 0.95)
    more = int(str(caught.value).split("about ")[1].split()[0])
    fold = math.ceil(1 + more / len(judged))
    grown = judged_of(np.tile(judged.scores, fold), np.tile(judged.right, fold))
    assert choose_cut(grown, 0.97, 0.95)


def test_where_all_is_wrong_nothing_would_do() -> None:
    with pytest.raises(InputError, match="no lower precision would do"):
        choose_cut(judged_of(np.arange(100) / 100, [False] * 100), 0.9, 0.95)
