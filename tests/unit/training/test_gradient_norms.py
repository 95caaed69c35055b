"""Norms of a loop of single losses; several gloo processes against one; nothing left behind."""

import pytest
import torch

from openmofi.training.gradient_norms import gradient_norms
from support import ranked_gradient_norms
from support.warm_ranks import forked_with, start


@pytest.fixture(scope="module", autouse=True)
def warm():
    with forked_with(ranked_gradient_norms.__name__):
        yield


def test_norm_is_that_of_a_loss_alone():
    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1.0, -2.0, 0.5]])
    leaf = features.clone().requires_grad_()
    embeddings = leaf * 2
    losses = {"a": 0.25 * (embeddings * weights).sum(), "b": 3 * embeddings.square().mean()}
    norms = gradient_norms(embeddings, losses)
    assert list(norms) == ["gradient_norm/a", "gradient_norm/b"]
    assert norms["gradient_norm/a"].item() == pytest.approx(0.25 * (5 * 5.25) ** 0.5)
    wanted = (3 * 2 * 2 * features / 15).norm().item()  # of the embeddings, not of the leaf
    assert norms["gradient_norm/b"].item() == pytest.approx(wanted)
    assert not any(norm.requires_grad for norm in norms.values())


def test_nothing_is_accumulated_and_the_graph_stays():
    _, untouched = ranked_gradient_norms.norms(0, 1)  # runs a backward pass afterwards
    assert untouched == [None, None, None]


def test_loss_without_the_features_has_none():
    features = torch.ones(2, 2, requires_grad=True) * 1
    other = torch.ones((), requires_grad=True)
    losses = {"other": other * 2, "constant": torch.tensor(1.0)}
    assert [norm.item() for norm in gradient_norms(features, losses).values()] == [0, 0]


def test_precision_is_that_of_the_losses_within_autocast():
    leaf = torch.randn(64, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    matrix = torch.randn(32, 32, generator=torch.Generator().manual_seed(2))
    features = leaf * 1
    loss = (features @ matrix).square().sum()
    with torch.autocast("cpu", torch.bfloat16):
        inside = gradient_norms(features, {"x": loss})["gradient_norm/x"]
    assert inside.item() == pytest.approx(
        gradient_norms(features, {"x": loss})["gradient_norm/x"].item(), rel=1e-6
    )


@pytest.mark.parametrize("ranks", [2, 3])
def test_several_ranks_equal_one(tmp_path, ranks):
    start(ranked_gradient_norms.main, ranks, ranks, tmp_path)
    alone, _ = ranked_gradient_norms.norms(0, 1)
    for rank in range(ranks):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt", weights_only=True), alone)
