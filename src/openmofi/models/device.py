"""Which device a model runs on, and in which precision.

Light: torch is imported only where it has to be asked.
"""

import os
import shutil

from openmofi.errors import InputError

PRECISIONS = ("auto", "float32", "bfloat16")


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


def check_compiler(device: str) -> None:
    """Refuse to compile where torch would fail to, at the first batch.

    Args:
        device: As `resolve_device` gives it.

    Raises:
        InputError: There is no compiler: of C++ for a CPU, of C for a GPU.
    """
    is_cpu = device == "cpu"
    variable, *names = ("CXX", "g++", "clang++") if is_cpu else ("CC", "gcc", "clang")
    if not any(shutil.which(name) for name in (os.environ.get(variable, ""), *names) if name):
        raise InputError(
            f"compiled needs {' or '.join(names)} on {device}, and neither is found; leave it off"
        )


def resolve_precision(precision: str, device: str) -> str:
    """``auto`` as bfloat16 on a GPU that computes in it, float32 elsewhere.

    Args:
        precision: Of `PRECISIONS`.
        device: As `resolve_device` gives it.

    Raises:
        InputError: The precision is unknown.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is unknown; use {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    import torch

    # Older GPUs only imitate bfloat16, far slower than they compute in float32.
    if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    return "float32"
