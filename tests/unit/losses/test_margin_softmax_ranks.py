"""Classes spread over gloo processes against one that has them all, label by label."""

from pathlib import Path

import pytest
import torch

from support import ranked_margin_softmax
from support.ranked_margin_softmax import CASES, RATES, compute
from support.warm_ranks import forked_with, start


@pytest.fixture(scope="module", params=[2, 4])
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """What each rank found, by case."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    with forked_with(ranked_margin_softmax.__name__):
        start(ranked_margin_softmax.main, request.param, request.param, folder)
    return [torch.load(folder / f"{r}.pt", weights_only=True) for r in range(request.param)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("case", CASES)
def test_ranks_have_the_loss_and_gradients_of_one_process(case, rate, parts):
    whole = compute(case, rate, 0, 1)
    found = [part[f"{case} {rate}"] for part in parts]
    for one in found:
        torch.testing.assert_close(one["loss"], whole["loss"], rtol=1e-5, atol=1e-6)
    # DDP averages what passes through the images, and the rows are each rank's own.
    images = torch.cat([one["images"] for one in found]) / len(parts)
    torch.testing.assert_close(images, whole["images"], rtol=1e-4, atol=1e-6)
    assert torch.cat([one["classes"] for one in found]).equal(whole["classes"])
    rows = torch.cat([one["rows"] for one in found])
    torch.testing.assert_close(rows, whole["rows"], rtol=1e-4, atol=1e-6)


def test_without_labels_nothing_is_learnt(parts):
    for part in parts:
        for rate in RATES:
            found = part[f"none {rate}"]
            assert found["loss"] == 0
            assert not found["images"].any()
            assert not found["rows"].any()
