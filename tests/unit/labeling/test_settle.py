"""Posteriors given text and image against a loop over mentions."""

import math
from collections import defaultdict

import numpy as np
import pytest

from openmofi.labeling.settle import settle

TINY = float(np.finfo(np.float32).tiny)


def settled(rows, weight):
    """`settle` of (mention, context, cosine, rank, entity) rows."""
    mentions, context, cosines, ranks, entities = np.array(rows, np.float64).reshape(-1, 5).T
    return settle(
        mentions.astype(np.int64),
        context.astype(np.float32),
        cosines.astype(np.float32),
        ranks.astype(np.int32),
        entities.astype(np.int64),
        weight,
    )


def by_loop(rows, weight):
    """Posterior and choice of each row, one mention after the other."""
    places = defaultdict(list)
    for place, row in enumerate(rows):
        places[row[0]].append(place)
    posterior, best = [0.0] * len(rows), [False] * len(rows)
    for of_mention in places.values():
        odds = {}
        for place in of_mention:
            _, context, cosine, _, _ = rows[place]
            odds[place] = math.log(max(context, TINY)) + weight * cosine
        top = max(odds.values())
        total = math.fsum(math.exp(value - top) for value in odds.values())
        for place, value in odds.items():
            posterior[place] = math.exp(value - top) / total
        # Greatest odds, then cosine; smallest rank, then entity.
        choice = min(of_mention, key=lambda i: (-odds[i], -rows[i][2], rows[i][3], rows[i][4]))
        best[choice] = True
    return posterior, best


def random_rows(generator):
    """Mentions and their candidates in any order, with ties: scores come from a few values."""
    rows = []
    for mention in generator.permutation(generator.integers(0, 30)):
        for rank in generator.permutation(generator.integers(1, 7)):
            # Multiples of powers of two: equal in any arithmetic.
            context, cosine = generator.integers(0, 5) / 4, generator.integers(-4, 5) / 8
            rows.append((mention, context, cosine, rank, int(generator.integers(0, 9))))
    return rows


@pytest.mark.parametrize("weight", [0, 1, 20, 100, 1e6])
@pytest.mark.parametrize("seed", range(8))
def test_it_equals_a_loop(seed, weight):
    rows = random_rows(np.random.default_rng(seed))
    found = settled(rows, weight)
    posterior, best = by_loop(rows, weight)
    np.testing.assert_allclose(found.posterior, posterior, rtol=1e-6, atol=1e-12)
    assert found.best.tolist() == best


def test_it_is_bayes_rule():
    found = settled([(0, 0.8, 0.25, 0, 1), (0, 0.2, 0.5, 1, 2)], weight=math.log(16) / 0.25)
    assert found.posterior.tolist() == pytest.approx([0.2, 0.8])
    assert found.best.tolist() == [False, True]


def test_every_mention_has_one_best_and_sums_to_one():
    rows = random_rows(np.random.default_rng(99))
    found = settled(rows, 20)
    mentions = np.array([row[0] for row in rows])
    assert np.bincount(mentions[found.best]).tolist() == [1] * (mentions.max() + 1)
    sums = np.bincount(mentions, weights=found.posterior)
    np.testing.assert_allclose(sums, 1, rtol=1e-6)


def test_without_weight_the_text_has_the_say():
    found = settled([(0, 0.6, -1, 0, 1), (0, 0.4, 1, 1, 2)], weight=0)
    assert found.posterior.tolist() == pytest.approx([0.6, 0.4])
    assert found.best.tolist() == [True, False]


def test_with_a_huge_weight_the_image_has_the_say():
    found = settled([(0, 0.999, 0.125, 0, 1), (0, 0.001, 0.25, 1, 2)], weight=1e6)
    assert found.posterior.tolist() == [0, 1]
    assert found.best.tolist() == [False, True]


def test_what_the_text_leaves_is_shared_out_anew():
    found = settled([(0, 0.3, 0.5, 0, 1), (0, 0.1, 0.5, 1, 2)], weight=100)
    assert found.posterior.tolist() == pytest.approx([0.75, 0.25])


def test_a_candidate_of_no_chance_by_the_text_is_no_division_by_zero():
    found = settled([(0, 0.0, 0.25, 0, 1), (0, 0.0, 0.5, 1, 2), (1, 0.0, 0.5, 0, 3)], weight=4)
    assert found.posterior.tolist() == pytest.approx([1 / (1 + math.e), math.e / (1 + math.e), 1])


@pytest.mark.parametrize(
    ("rows", "winner"),
    [
        ([(0, 0.5, 0.0, 0, 1), (0, 0.5, 0.5, 1, 2)], 1),
        ([(0, 0.5, 0.25, 1, 1), (0, 0.5, 0.25, 0, 2)], 1),
        ([(0, 0.5, 0.25, 0, 2), (0, 0.5, 0.25, 0, 1)], 1),
    ],
    ids=["cosine", "rank", "id"],
)
def test_ties_are_settled(rows, winner):
    for order in (rows, rows[::-1]):
        found = settled(order, 0)
        assert order[int(np.flatnonzero(found.best)[0])] == rows[winner]


def test_nothing_to_settle():
    found = settled([], 20)
    assert (len(found.posterior), len(found.best)) == (0, 0)
