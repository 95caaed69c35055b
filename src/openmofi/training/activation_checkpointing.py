"""Activations made again in the backward pass, not kept: memory for a third more time."""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from openmofi.errors import InputError


def checkpoint_activations(backbone: nn.Module) -> None:
    """Turn it on in both towers of an open_clip model, in place; the result does not change.

    Towers of open_clip, of timm and of transformers each have a switch of their own. A ResNet of
    open_clip has one that does nothing, and timm's may refuse, of which open_clip only warns.

    Raises:
        InputError: A tower has no way to.
    """
    model: Any = backbone
    visual, text = model.visual, getattr(model, "text", None)
    for tower, name in ((visual, "image"), (text, "text")):
        if tower is not None and not _can(tower):
            kind = type(getattr(tower, "trunk", tower)).__name__
            raise InputError(
                f"train: the {name} tower ({kind}) cannot make its activations again; leave "
                "activation_checkpointing off, or take a backbone with a vision transformer"
            )
    if hasattr(visual, "trunk"):
        visual.trunk.set_grad_checkpointing(True)
    model.set_grad_checkpointing(True)
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.register_forward_pre_hook(_count_once)


def _can(tower: nn.Module) -> bool:
    """Whether a tower's switch does something; looked for where the forward pass reads it."""
    if hasattr(tower, "trunk"):
        return _timm_can(tower.trunk)
    # open_clip's transformers have blocks, transformers' models say whether they can.
    inner: Any = getattr(tower, "transformer", None)
    if inner is None:
        return False
    return hasattr(inner, "grad_checkpointing") or bool(
        getattr(inner, "supports_gradient_checkpointing", False)
    )


def _timm_can(trunk: Any) -> bool:
    try:
        trunk.set_grad_checkpointing(True)
    except Exception:  # an assertion, a missing attribute or a missing method, by the model
        return False
    trunk.set_grad_checkpointing(False)
    return True


def _count_once(module: Any, inputs: Any) -> None:
    """Keep a batch out of the running statistics when its activations are made again.

    The second forward pass runs within the backward pass, and would count the batch twice. The
    compiler sees to that itself: statistics are no part of what it makes again.
    """
    if torch.compiler.is_compiling():
        return
    if not hasattr(module, "_momentum_once"):
        module._momentum_once = module.momentum
    again = torch._C._current_graph_task_id() >= 0
    module.momentum = 0.0 if again else module._momentum_once
    if again and module.training and module.num_batches_tracked is not None:
        module.num_batches_tracked.sub_(1)
