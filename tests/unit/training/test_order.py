import numpy as np

from openmofi.training.order import SampleOrder

SHARDS = [7, 0, 13, 5, 1, 10]
SIZE = sum(SHARDS)


def order(seed=3, window=2, shards=SHARDS):
    return SampleOrder(shards, seed=seed, window_shards=window)


def test_every_sample_comes_once_an_epoch():
    epochs, rows = order().locate(np.arange(3 * SIZE))
    for epoch in range(3):
        assert sorted(rows[epochs == epoch].tolist()) == list(range(SIZE))
        assert (epochs[epoch * SIZE : (epoch + 1) * SIZE] == epoch).all()


def test_a_position_alone_says_the_sample():
    whole = order().locate(np.arange(4 * SIZE))[1]
    for position in (0, 35, 36, 71, 100):
        epochs, rows = order().locate(np.array([position]))
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
