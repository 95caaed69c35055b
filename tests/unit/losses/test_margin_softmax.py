"""Oracles: full softmax by hand, plain cross entropy, a loop over samples."""

import pytest
import torch
from torch.nn import functional

from openmofi.losses.class_sampling import choose_classes
from openmofi.losses.margin_softmax import margin_softmax
from openmofi.losses.margins import Margin
from support.losses import assert_same_gradients

CLASSES, DIM, BATCH = 20, 8, 12


def random_case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(BATCH, DIM, generator=generator, requires_grad=True)
    rows = torch.randn(CLASSES, DIM, generator=generator, requires_grad=True)
    labels = torch.randint(-1, CLASSES, (BATCH,), generator=generator)
    return embeddings, rows, labels


def loss_of(embeddings, rows, targets, margin, scale):
    return margin_softmax(embeddings, rows, targets, margin=Margin(margin), scale=scale)


def loop_loss(embeddings, rows, labels, *, margin, scale):
    """The formula of method.md A5, sample by sample."""
    losses = []
    for embedding, label in zip(embeddings, labels.tolist(), strict=True):
        if label < 0:
            continue
        terms = []
        for index, row in enumerate(rows):
            cosine = embedding @ row / embedding.norm() / row.norm()
            terms.append(torch.exp((cosine - margin * (index == label)) * scale))
        losses.append(-torch.log(terms[label] / sum(terms)))
    return torch.stack(losses).mean()


def test_rate_one_equals_full_softmax_in_loss_and_gradient():
    embeddings, rows, labels = random_case()
    sample = choose_classes(labels, CLASSES, 1.0, torch.Generator().manual_seed(1))
    ours = margin_softmax(
        embeddings, rows[sample.classes], sample.targets, margin=Margin(0.15), scale=32
    )
    expected = loop_loss(embeddings, rows, labels, margin=0.15, scale=32)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert_same_gradients(ours, expected, (embeddings, rows), atol=1e-5)


def test_margin_zero_and_scale_one_is_cross_entropy_of_cosines():
    embeddings, rows, labels = random_case(1)
    cosines = functional.normalize(embeddings, dim=1) @ functional.normalize(rows, dim=1).T
    expected = functional.cross_entropy(cosines, labels, ignore_index=-1)
    ours = loss_of(embeddings, rows, labels, 0.0, 1.0)
    torch.testing.assert_close(ours, expected)


def test_a_sampled_loss_is_the_full_loss_of_the_sampled_rows():
    embeddings, rows, labels = random_case(2)
    sample = choose_classes(labels, CLASSES, 0.7, torch.Generator().manual_seed(3))
    ours = margin_softmax(
        embeddings, rows[sample.classes], sample.targets, margin=Margin(0.1), scale=8
    )
    kept = sample.classes.tolist()
    inside = torch.tensor([kept.index(label) if label >= 0 else -1 for label in labels.tolist()])
    expected = loop_loss(embeddings, rows[kept], inside, margin=0.1, scale=8)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("margins", [(0.0, 0.15), (0.15, 0.4)])
def test_a_greater_margin_never_lowers_the_loss(margins):
    embeddings, rows, labels = random_case(4)
    low, high = (loss_of(embeddings, rows, labels, m, 16) for m in margins)
    assert high > low


def test_a_batch_without_labels_has_loss_zero_and_zero_gradient():
    embeddings, rows, _ = random_case()
    labels = torch.full((BATCH,), -1)
    sample = choose_classes(labels, CLASSES, 0.5, torch.Generator().manual_seed(0))
    loss = margin_softmax(
        embeddings, rows[sample.classes], sample.targets, margin=Margin(0.1), scale=8
    )
    loss.backward()
    assert loss == 0
    assert embeddings.grad.abs().max() == 0


def test_one_class_for_the_whole_batch():
    embeddings, rows, _ = random_case()
    labels = torch.full((BATCH,), 4)
    sample = choose_classes(labels, CLASSES, 0.05, torch.Generator().manual_seed(0))
    assert sample.classes.tolist() == [4]
    loss = margin_softmax(
        embeddings, rows[sample.classes], sample.targets, margin=Margin(0.1), scale=8
    )
    assert loss == 0  # no negative is left
