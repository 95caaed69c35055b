from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from openmofi.training.order import SampleOrder
from openmofi.training.resampling import OFFSET_BITS, Resampling, balanced_weights

SHARDS = [7, 0, 13, 5, 1, 10]
SIZE = sum(SHARDS)


def order(seed=3, window=2, shards=SHARDS, weights=None):
    return SampleOrder(shards, seed=seed, window_shards=window, weights=weights)


def test_every_sample_comes_once_an_epoch():
    epochs, rows, repeats = order().locate(np.arange(3 * SIZE))
    assert not repeats.any()
    for epoch in range(3):
        assert sorted(rows[epochs == epoch].tolist()) == list(range(SIZE))
        assert (epochs[epoch * SIZE : (epoch + 1) * SIZE] == epoch).all()


def test_a_position_alone_says_the_sample():
    whole = order().locate(np.arange(4 * SIZE))[1]
    for position in (0, 35, 36, 71, 100):
        epochs, rows, _ = order().locate(np.array([position]))
        assert (epochs[0], rows[0]) == (position // SIZE, whole[position])


def test_epochs_and_seeds_differ():
    rows = order().locate(np.arange(2 * SIZE))[1]
    assert rows[:SIZE].tolist() != rows[SIZE:].tolist()
    assert rows[:SIZE].tolist() != order(seed=4).locate(np.arange(SIZE))[1].tolist()


def test_a_window_reads_from_its_own_shards_only():
    shards = [50] * 12
    rows = order(window=3, shards=shards).locate(np.arange(600))[1]
    touched = [set((rows[i : i + 150] // 50).tolist()) for i in range(0, 600, 150)]
    assert [len(window) for window in touched] == [3] * 4
    assert len(set.union(*touched)) == 12


def test_samples_of_a_window_are_mixed():
    rows = order(window=3, shards=[50] * 3).locate(np.arange(150))[1]
    first = np.bincount(rows[:50] // 50, minlength=3)
    assert first.min() > 5  # sixteen or so of each shard; a run of one shard would give 0


@pytest.mark.parametrize("weights", [None, np.linspace(0.01, 3, SIZE)])
def test_windows_name_the_shards_that_positions_read_from(weights):
    shards = order(weights=weights)
    owner = np.repeat(np.arange(len(SHARDS)), SHARDS)
    for first, last in [(0, 0), (0, 30), (17, 80), (35, 36), (70, 200)]:
        *present, following = shards.windows(first, last)
        read = owner[shards.locate(np.arange(first, last + 1)).rows]
        assert set(read.tolist()) <= {shard for window in present for shard in window.shards}
        assert len({(window.epoch, window.index) for window in present}) == len(present)
        # By hand: walk on until a position lies outside the windows that were found.
        after = last
        while shards.windows(after, after)[0] != following:
            assert shards.windows(after, after)[0] == present[-1]
            after += 1
        assert after <= last + SIZE


def test_an_epoch_with_weights_has_as_many_places_and_rounds_each_expectation():
    rng = np.random.default_rng(7)
    weights = rng.pareto(1.0, SIZE) + 0.01
    expected = weights / weights.sum() * SIZE
    epochs, rows, _ = order(weights=weights).locate(np.arange(200 * SIZE))
    counts = np.zeros((200, SIZE))
    for epoch, row in zip(epochs.tolist(), rows.tolist(), strict=True):
        counts[epoch, row] += 1
    assert (counts.sum(1) == SIZE).all()
    assert (counts >= np.floor(expected)).all()
    assert (counts <= np.ceil(expected)).all()
    # One offset an epoch, uniform: the mean of 200 differs by a few hundredths.
    assert np.abs(counts.mean(0) - expected).max() < 0.12


def test_places_and_rows_agree_with_a_walk_along_the_line():
    weights = np.array([1.0, 2.0, 1.0, 8.0, 4.0, 1.0, 7.0, 8.0])  # expected: quarters
    resampling = Resampling(weights)
    for quarters in (0, 1, 2, 3):
        walked, row, end = [], 0, 0.25 * weights[0]
        for place in range(8):
            while place + quarters / 4 >= end:
                row += 1
                end += 0.25 * weights[row]
            walked.append(row)
        offset = quarters << (OFFSET_BITS - 2)
        assert resampling.rows(np.arange(8), offset).tolist() == walked
        starts = resampling.first_places(np.arange(9), offset).tolist()
        assert starts == [sum(row < r for row in walked) for r in range(9)]


def test_repeats_of_a_row_are_numbered():
    weights = np.ones(SIZE)
    weights[20] = 30
    _, rows, repeats = order(weights=weights).locate(np.arange(SIZE))
    numbers = sorted(repeats[rows == 20].tolist())
    assert numbers == list(range(len(numbers)))
    assert len(numbers) in (16, 17)  # 30 · 36 / 65
    assert not repeats[rows != 20].any()


def test_with_weights_a_window_still_reads_from_its_own_shards_only():
    weights = np.random.default_rng(1).pareto(1.0, 600) + 0.01
    shards = order(window=3, shards=[50] * 12, weights=weights)
    for epoch in range(5):
        first = epoch * 600
        touched = []
        while first < (epoch + 1) * 600:
            window = shards.windows(first, first)[0]
            end = first
            while shards.windows(end, end)[0] == window:
                end += 1
            touched.append(set((shards.locate(np.arange(first, end)).rows // 50).tolist()))
            assert touched[-1] == set(window.shards)
            first = end
        assert [len(window) for window in touched] == [3] * 4
        assert len(set.union(*touched)) == 12


def test_equal_weights_give_every_sample_once():
    rows = order(weights=np.full(SIZE, 0.3)).locate(np.arange(SIZE)).rows
    assert sorted(rows.tolist()) == list(range(SIZE))


def test_weights_must_fit_and_be_positive():
    with pytest.raises(ValueError, match="3 weights for 36 samples"):
        order(weights=np.ones(3))
    with pytest.raises(ValueError, match="above 0"):
        order(weights=np.zeros(SIZE))


# Weights from labels


def labels_of(lists):
    half = len(lists) // 2  # two chunks, as shards have
    return pa.chunked_array([lists[:half], lists[half:]], pa.list_(pa.int32()))


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_a_sample_weighs_the_mean_over_its_labels(power):
    rng = np.random.default_rng(4)
    lists = [rng.choice(9, size=int(rng.integers(0, 4)), replace=False).tolist() for _ in range(60)]
    counts = {c: sum(c in labels for labels in lists) for c in range(9)}
    expected = [sum(counts[c] ** -power for c in ls) / len(ls) if ls else None for ls in lists]
    known = [weight for weight in expected if weight is not None]
    mean = sum(known) / len(known)
    found = balanced_weights(labels_of(lists), 12, power)
    assert found is not None
    assert found == pytest.approx([mean if w is None else w for w in expected], rel=1e-6)


def test_with_power_one_entities_come_equally_often():
    lists = [[0]] * 40 + [[1]] * 5 + [[2]] * 1 + [[]] * 14
    weights = balanced_weights(labels_of(lists), 3, 1.0)
    rows = order(shards=[25, 35], weights=weights).locate(np.arange(60 * 50)).rows
    counts = Counter(str(lists[row]) for row in rows.tolist())
    # 14 of 60 stay without label; 46 / 3 an epoch for each entity.
    assert counts["[]"] == pytest.approx(14 * 50, abs=50)
    for entity in range(3):
        assert counts[f"[{entity}]"] == pytest.approx(46 / 3 * 50, abs=50)


@pytest.mark.parametrize(("lists", "power"), [([[0], [0], [1]], 0.0), ([[], []], 1.0)])
def test_nothing_to_balance_leaves_the_order_as_it_is(lists, power):
    assert balanced_weights(labels_of(lists), 2, power) is None
