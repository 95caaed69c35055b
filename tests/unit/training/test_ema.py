"""The average against a loop over numbers."""

import torch
from torch import nn

from openmofi.training.ema import AveragedWeights


def make_model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def drift(model: nn.Module, step: int) -> None:
    """Some other weights and statistics at each step."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * (step + 1))
        for buffer in model.buffers():
            buffer.add_(step + 1)


def test_average_is_that_of_a_loop():
    model, decay = make_model(), 0.5  # the warm-up passes it at the eighth update
    average = AveragedWeights(model, decay)
    expected = [p.detach().double().clone() for p in model.parameters()]
    for step in range(12):
        drift(model, step)
        average.update(model)
        kept = min(decay, (1 + step) / (10 + step))
        for i, parameter in enumerate(model.parameters()):
            expected[i] = kept * expected[i] + (1 - kept) * parameter.detach().double()
    buffers = [b.clone() for b in model.buffers()]
    target = make_model()
    average.copy_to(target)
    for parameter, wanted in zip(target.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.detach().double(), wanted, rtol=1e-6, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(target.buffers(), buffers, strict=True))


def test_average_is_a_copy():
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    average = AveragedWeights(model, 0.9)
    drift(model, 0)
    average.copy_to(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_small_steps_of_bfloat16_weights_are_not_lost():
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    nn.init.ones_(model.weight)
    average = AveragedWeights(model, 0.9999)
    average.updates = 1_000_000  # beyond the warm-up
    with torch.no_grad():
        model.weight.fill_(2.0)
    for _ in range(10):
        average.update(model)
    assert abs(average.state_dict()["parameters"]["weight"].item() - 1.001) < 1e-5


def test_resumed_average_goes_on_to_the_bit():
    model = make_model()
    whole = AveragedWeights(model, 0.999)
    for step in range(5):
        drift(model, step)
        whole.update(model)
    other = AveragedWeights(make_model(), 0.999)
    other.load_state_dict(whole.state_dict())
    drift(model, 5)
    for average in (whole, other):
        average.update(model)
    ours, theirs = make_model(), make_model()
    whole.copy_to(ours)
    other.copy_to(theirs)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name


def test_what_the_state_dict_leaves_out_is_not_copied():
    model = nn.Linear(2, 2)
    model.register_buffer("mask", torch.zeros(2), persistent=False)
    assert AveragedWeights(model, 0.9).state_dict()["buffers"] == {}


def test_average_follows_the_model_to_its_device():
    model = make_model()
    average = AveragedWeights(model, 0.9)
    model.to("meta")  # the one other device that every machine has
    average.update(model)
    state = average.state_dict()
    tensors = [*state["parameters"].values(), *state["buffers"].values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
