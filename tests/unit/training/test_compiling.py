"""Compiled towers: the same loss, the same names, with checkpointed activations as well."""

import pytest
import torch
from torch._dynamo.utils import counters

from openmofi.errors import InputError
from openmofi.training.activation_checkpointing import checkpoint_activations
from openmofi.training.compiling import compile_towers
from support.two_towers import backbone, backward, make_batch


@pytest.fixture(autouse=True)
def _fresh(compiler: None) -> None:
    torch._dynamo.reset()
    counters.clear()


@pytest.mark.slow
def test_loss_gradients_and_names_are_the_same():
    plain, compiled, batch = backbone("CLIP"), backbone("CLIP"), make_batch("CLIP")
    compile_towers(compiled, "cpu")
    loss, gradients = backward(plain, batch)
    again, others = backward(compiled, batch)
    assert counters["stats"]["unique_graphs"] >= 2
    torch.testing.assert_close(again, loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(others, gradients, rtol=1e-3, atol=1e-5)
    assert list(compiled.state_dict()) == list(plain.state_dict())


@pytest.mark.slow
def test_checkpointed_towers_compile_and_their_batch_norms_count_a_batch_once():
    name = "convolutions"
    plain, both, batch = backbone(name), backbone(name), make_batch(name)
    checkpoint_activations(both)
    compile_towers(both, "cpu")
    for _ in range(2):
        loss, _ = backward(plain, batch)
        again, _ = backward(both, batch)
        torch.testing.assert_close(again, loss, rtol=1e-5, atol=1e-5)
    assert not counters["graph_break"]
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(both.state_dict()[key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_a_model_without_towers_is_refused():
    with pytest.raises(InputError, match="no towers"):
        compile_towers(torch.nn.ModuleDict({"visual": torch.nn.Linear(1, 1)}), "cpu")
