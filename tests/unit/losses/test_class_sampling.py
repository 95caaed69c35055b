"""Which classes are drawn: counts over many draws, and by hand."""

import itertools
import math

import pytest
import torch

from openmofi.losses.class_sampling import choose_classes, frequency_inclusion

CLASSES = 20


def test_positives_are_kept_and_negatives_fill_the_quota():
    labels = torch.tensor([3, 17, -1, 3])
    sample = choose_classes(labels, CLASSES, 0.5, torch.Generator().manual_seed(0))
    assert len(sample.classes) == 10
    assert sample.classes.tolist() == sorted(set(sample.classes.tolist()))
    assert sample.classes[sample.targets[[0, 1, 3]]].tolist() == [3, 17, 3]
    assert sample.targets[2] == -1


def test_more_positives_than_the_quota_are_all_kept():
    labels = torch.arange(9)
    sample = choose_classes(labels, CLASSES, 0.1, torch.Generator().manual_seed(0))
    assert sample.classes.tolist() == list(range(9))


def test_negatives_are_uniform():
    generator = torch.Generator().manual_seed(5)
    counts = torch.zeros(CLASSES)
    rounds = 2000
    for _ in range(rounds):
        counts[choose_classes(torch.tensor([0]), CLASSES, 0.25, generator).classes] += 1
    share = 4 / 19  # four negatives out of nineteen classes
    deviation = math.sqrt(rounds * share * (1 - share))
    assert counts[0] == rounds
    assert (counts[1:] - rounds * share).abs().max() < 4.5 * deviation


def test_the_same_generator_state_gives_the_same_subset():
    labels = torch.tensor([1, 2])
    first, second = (
        choose_classes(labels, 1000, 0.1, torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert first.classes.equal(second.classes)


def test_a_label_beyond_the_classes_is_an_error():
    with pytest.raises(ValueError, match="label 20 with 20 classes"):
        choose_classes(torch.tensor([20]), CLASSES, 0.5, torch.Generator())


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_blocks_of_classes_partition_the_sample(rate):
    labels = torch.tensor([[3, 17], [-1, -1], [5, -1]])
    whole = choose_classes(labels, CLASSES, rate, torch.Generator().manual_seed(0))
    for bounds in ([0, 20], [0, 7, 20], [0, 5, 10, 15, 20]):
        blocks = [range(*pair) for pair in itertools.pairwise(bounds)]
        parts = [whole.within(block, labels) for block in blocks]
        assert torch.cat([part.classes for part in parts]).equal(whole.classes)
        for part, block in zip(parts, blocks, strict=True):
            mine = (labels >= block.start) & (labels < block.stop)
            assert part.classes[part.targets[mine]].equal(labels[mine])
            assert (part.targets[~mine] == -1).all()


def test_frequency_draws_by_the_power_of_the_counts():
    counts = torch.tensor([0, 1, 3, 10, 10_000] * 4)
    inclusion = frequency_inclusion(counts, 0.5)
    assert inclusion.sum() == pytest.approx(10, rel=1e-4)
    assert inclusion[4] == 1
    assert inclusion[3] / inclusion[2] == pytest.approx((11 / 4) ** 0.75, rel=1e-4)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.zeros(CLASSES)
    rounds = 4000
    for _ in range(rounds):
        drawn[choose_classes(torch.tensor([0]), 20, 0.5, generator, inclusion).classes] += 1
    deviation = (rounds * inclusion * (1 - inclusion)).sqrt()
    assert drawn[0] == rounds
    assert ((drawn - rounds * inclusion)[1:].abs() <= 4.5 * deviation[1:]).all()


def test_the_expected_sum_over_drawn_negatives_is_that_of_uniform_ones():
    """A mean over many draws of sum(exp(logit - offset)) / rate is the sum over all classes."""
    values = torch.randn(CLASSES, generator=torch.Generator().manual_seed(1)).exp()
    inclusion = frequency_inclusion(torch.arange(CLASSES) ** 2, 0.4)
    generator = torch.Generator().manual_seed(2)
    none = torch.tensor([-1])
    sums = []
    for _ in range(20_000):
        sample = choose_classes(none, CLASSES, 0.4, generator, inclusion)
        sums.append((values[sample.classes] * (-sample.offsets).exp()).sum() / 0.4)
    assert torch.stack(sums).mean() == pytest.approx(values.sum().item(), rel=0.01)


def test_positives_have_no_offset():
    inclusion = frequency_inclusion(torch.arange(CLASSES), 0.2)
    labels = torch.tensor([0, 1, 19])
    sample = choose_classes(labels, CLASSES, 0.2, torch.Generator().manual_seed(0), inclusion)
    assert (sample.offsets[sample.targets] == 0).all()
    others = torch.ones(len(sample.classes), dtype=torch.bool)
    others[sample.targets] = False
    expected = (inclusion[sample.classes[others]] / 0.2).log()
    torch.testing.assert_close(sample.offsets[others], expected)
