"""Exponential moving average of a backbone's parameters, which is what a run may publish."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class AveragedWeights:
    """A slow copy of a model: parameters averaged in float32, buffers as they were last.

    A buffer is a count or a running statistic, which has a mean of its own already. The average
    begins at the model's weights; during the first updates it follows faster than ``decay`` says,
    by ``min(decay, (1 + t) / (10 + t))`` at update ``t``, so that the start is soon forgotten.

    Args:
        model: Whose names and values it begins with; on any device.
        decay: Share of the average that an update keeps, 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.updates = 0
        self._decay = decay
        self._parameters = {name: _copy(p) for name, p in model.named_parameters()}
        saved = model.state_dict()  # a mask that the model makes again is none of ours
        self._buffers = {n: b.detach().clone() for n, b in model.named_buffers() if n in saved}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model by one step; called after each of the optimizer's."""
        parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
        self._follow(next(iter(parameters.values())).device)
        kept = min(self._decay, (1 + self.updates) / (10 + self.updates))
        average = [self._parameters[name] for name in parameters]
        torch._foreach_lerp_(average, [p.float() for p in parameters.values()], 1 - kept)
        for name, buffer in self._buffers.items():
            buffer.copy_(buffers[name])
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the model's parameters and buffers with the average."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self._parameters[name])
        buffers = dict(model.named_buffers())
        for name, value in self._buffers.items():
            buffers[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint; the same on every rank that trains the same backbone."""
        return {
            "updates": self.updates,
            "parameters": dict(self._parameters),
            "buffers": dict(self._buffers),
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, by the same decay.

        Raises:
            KeyError: The state is of a model with other names.
        """
        self.updates = int(state["updates"])
        for mine, saved in (
            (self._parameters, state["parameters"]),
            (self._buffers, state["buffers"]),
        ):
            for name, value in mine.items():
                value.copy_(saved[name])

    def _follow(self, device: torch.device) -> None:
        """The trainer moves the model after this was made."""
        if next(iter(self._parameters.values())).device == device:
            return
        self._parameters = {name: value.to(device) for name, value in self._parameters.items()}
        self._buffers = {name: value.to(device) for name, value in self._buffers.items()}


def _copy(parameter: Tensor) -> Tensor:
    return parameter.detach().to(torch.float32, copy=True)
