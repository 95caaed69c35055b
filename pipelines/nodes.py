"""Training on several nodes, as far as a pipeline's parameters go."""

from collections.abc import Mapping
from typing import Any

from openmofi.errors import InputError
from openmofi.launch.config import NodesConfig
from pipelines.placement import CPU, GPU_TRAINING, SMALL_CPUS, SMALL_MEMORY, SMALL_REQUESTED_CPUS


def with_launcher(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters, with the training steps off the GPU pool where they only launch.

    A step that follows a TrainJob for days would hold a GPU that its own nodes may wait for.
    """
    if not _several(parameters):
        return parameters
    values = {name: default for name, (_, default, _) in CPU.parameters().items()}
    small = {
        "selector": values[f"{CPU.prefix}_selector"],
        "tolerations": values[f"{CPU.prefix}_tolerations"],
        "cpus": SMALL_CPUS,
        "requested_cpus": SMALL_REQUESTED_CPUS,
        "memory": SMALL_MEMORY,
        "accelerators": 0,
    }
    return {**{f"{GPU_TRAINING.prefix}_{key}": value for key, value in small.items()}, **parameters}


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
