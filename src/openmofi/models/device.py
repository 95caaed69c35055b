"""Which device a model runs on. Light: torch is imported only where it has to be asked."""

from openmofi.errors import InputError


def check_device(device: str) -> None:
    """Refuse a named device that is not there, before any work; auto and cpu always are.

    Raises:
        InputError: See `resolve_device`.
    """
    if device not in ("auto", "cpu"):
        resolve_device(device)


def resolve_device(device: str) -> str:
    """``auto`` as CUDA or CPU; refuse what is not there.

    Raises:
        InputError: The device is unknown or missing.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise InputError(f"device {device!r} is unknown; use auto, cpu or cuda") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {device!r} is not there; use auto or cpu")
    return device
