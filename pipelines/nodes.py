"""Training on several nodes, as far as a pipeline's parameters go."""

from collections.abc import Mapping
from typing import Any

from openmofi.errors import InputError
from openmofi.launch.config import NodesConfig


def with_launcher(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters, with the training steps off the GPU pool where they only launch.

    A step that follows a TrainJob for days would hold a GPU that its own nodes may wait for.
    """
    if not _several(parameters):
        return parameters
    from pipelines import placement  # imports kfp

    cpu, prefix = placement.CPU, placement.GPU_TRAINING.prefix
    values = {name: default for name, (_, default, _) in cpu.parameters().items()}
    small = {
        "selector": values[f"{cpu.prefix}_selector"],
        "tolerations": values[f"{cpu.prefix}_tolerations"],
        "cpus": placement.SMALL_CPUS,
        "requested_cpus": placement.SMALL_REQUESTED_CPUS,
        "memory": placement.SMALL_MEMORY,
        "accelerators": "0",
    }
    return {**{f"{prefix}_{key}": value for key, value in small.items()}, **parameters}


def refuse_here(parameters: Mapping[str, Any]) -> None:
    """Tell before hours of curation that this machine is no cluster.

    Raises:
        InputError: Several nodes are asked for.
    """
    if _several(parameters):
        raise InputError(
            "'training_nodes': several nodes need a cluster: `python -m pipelines submit`. Here, "
            "--set training_nodes.count=1"
        )


def _several(parameters: Mapping[str, Any]) -> bool:
    return NodesConfig(**parameters.get("training_nodes", {})).count > 1
