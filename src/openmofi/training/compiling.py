"""torch.compile for a backbone's towers, in place."""

from typing import Any

from torch import nn

from openmofi.errors import InputError
from openmofi.models.device import check_compiler


def compile_towers(backbone: nn.Module, device: str) -> None:
    """Compile both towers of an open_clip model, each at its first batch, for batches of its shape.

    ``Module.compile`` changes how a module is called and neither its class nor its names: the
    state dict, and with it checkpoint and export, is as before. What lies between the towers and
    the loss (token embedding of a ``CLIP``, normalisation) stays as it is: there is little to win.

    Args:
        backbone: A ``CLIP`` or ``CustomTextCLIP``.
        device: ``cpu`` or ``cuda``, where it will run.

    Raises:
        InputError: There is no compiler to do it with, or a tower is no module of its own.
    """
    check_compiler(device)
    for tower in _towers(backbone):
        # Shapes are fixed: a batch never has fewer rows, and a symbolic size costs speed.
        tower.compile(dynamic=False)


def _towers(backbone: Any) -> list[nn.Module]:
    text = getattr(backbone, "text", None)
    towers = [backbone.visual, text if text is not None else getattr(backbone, "transformer", None)]
    if not all(isinstance(tower, nn.Module) for tower in towers):
        raise InputError(
            f"train: a {type(backbone).__name__} has no towers that can be compiled; leave "
            "compiled off"
        )
    return towers
