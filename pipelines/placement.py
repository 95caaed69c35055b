"""Where steps run: named node pools, and what each step asks of its pool.

A pool's node selector, tolerations, limits and accelerators are parameters of every pipeline that
uses it, so they can be set at submit time. What KFP takes as a constant only (timeouts, the size
of /dev/shm) stands in the tables below.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

# Made by k8s/base. Optional, so that a cluster with workload identity needs no secret.
STORAGE_SECRET = "openmofi-storage"
SECRET_KEYS = {name: name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
SETTINGS = "openmofi-settings"
SETTINGS_KEYS = {name: name for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "MLFLOW_TRACKING_URI")}

HOUR = 3600


@dataclass(frozen=True)
class Pool:
    """A kind of node.

    Args:
        name: Value of the label ``openmofi/pool`` on its nodes, by default.
        prefix: What its pipeline parameters begin with.
        cpus: Limit of one step, by default.
        memory: Limit of one step, by default.
        accelerators: How many one step takes, by default; 0 for a pool without.
        shared_memory: Size of /dev/shm for data loader workers; empty leaves the node's default.
    """

    name: str
    prefix: str
    cpus: str
    memory: str
    accelerators: int = 0
    shared_memory: str = ""

    def parameters(self) -> dict[str, tuple[type, Any, str]]:
        """Type, default and meaning of each of the pool's pipeline parameters."""
        taint = {"key": "openmofi/pool", "operator": "Equal", "value": self.name}
        found: dict[str, tuple[type, Any, str]] = {
            "selector": (dict, {"openmofi/pool": self.name}, "Node labels."),
            "tolerations": (list, [{**taint, "effect": "NoSchedule"}], "Tolerated taints."),
            "cpus": (str, self.cpus, "CPU limit of one step."),
            "memory": (str, self.memory, "Memory limit of one step."),
        }
        if self.accelerators:
            found["accelerator"] = (str, "nvidia.com/gpu", "Kind of accelerator.")
            found["accelerators"] = (
                int,
                self.accelerators,
                "Accelerators of one step, 0 for none.",
            )
        return {
            f"{self.prefix}_{name}": (kind, default, f"Pool {self.name}: {text}")
            for name, (kind, default, text) in found.items()
        }


CPU = Pool("cpu", "cpu_pool", cpus="4", memory="16Gi")
GPU_INFERENCE = Pool("gpu-inference", "inference_pool", "8", "32Gi", 1, shared_memory="4Gi")
GPU_TRAINING = Pool("gpu-training", "training_pool", "16", "64Gi", 1, shared_memory="16Gi")


@dataclass(frozen=True)
class Need:
    """What one step asks for.

    Args:
        pool: Where it runs.
        timeout_s: After this many seconds its pod is ended.
        small: It only moves small files, so it takes fixed small limits and leaves the pool's
            to the others.
        retries: How often a pod that has ended in failure is started again. Only where what failed
            is as a rule the node: training saves when it is told to stop, and goes on.
    """

    pool: Pool
    timeout_s: int
    small: bool = False
    retries: int = 0


STEPS: Mapping[str, Need] = {
    "plan-shards": Need(CPU, HOUR, small=True),
    "build-knowledge-base": Need(CPU, 12 * HOUR),
    "import-model": Need(CPU, HOUR, small=True),
    "ingest-pairs": Need(CPU, 12 * HOUR),
    "link-entities": Need(CPU, 12 * HOUR),
    "embed-images": Need(GPU_INFERENCE, 12 * HOUR),
    "embed-entities": Need(GPU_INFERENCE, 12 * HOUR),
    "label-images": Need(CPU, 12 * HOUR),
    "detect-text": Need(GPU_INFERENCE, 12 * HOUR),
    "score-masked-images": Need(GPU_INFERENCE, 12 * HOUR),
    "assemble-dataset": Need(CPU, 6 * HOUR),
    "check-data": Need(CPU, HOUR, small=True),
    "publish-dataset": Need(CPU, HOUR, small=True),
    "build-shards": Need(CPU, 12 * HOUR),
    "train-model": Need(GPU_TRAINING, 7 * 24 * HOUR, retries=5),
    "evaluate-model": Need(GPU_INFERENCE, 6 * HOUR),
    "register-model": Need(CPU, HOUR, small=True),
}
SMALL_CPUS, SMALL_MEMORY = "1", "4Gi"


class Placement:
    """Places tasks by the values of a pipeline's pool parameters."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __call__(self, task: PipelineTask, title: str = "") -> PipelineTask:
        """Put a task on its step's pool.

        Args:
            task: The task.
            title: What it is called, where a step occurs more than once. KFP's own numbers would
                depend on the order in the file.
        """
        need = STEPS[task.component_spec.name]
        task.set_caching_options(False)  # ours sees what an image and a bucket hold; KFP's can't
        task.set_display_name(title or task.component_spec.name)
        kubernetes.set_timeout(task, need.timeout_s)
        if need.retries:
            task.set_retry(need.retries, "30s", 2.0, "600s")
        kubernetes.use_secret_as_env(task, STORAGE_SECRET, SECRET_KEYS, optional=True)
        kubernetes.use_config_map_as_env(task, SETTINGS, SETTINGS_KEYS, optional=True)
        self._limit(task, need)
        self._select_nodes(task, need.pool)
        return task

    def _limit(self, task: PipelineTask, need: Need) -> None:
        pool = need.pool
        if need.small:
            task.set_cpu_limit(SMALL_CPUS).set_memory_limit(SMALL_MEMORY)
        else:
            self._register(task, pool, "cpus", "memory")
            task.set_cpu_limit(self._value(pool, "cpus"))
            task.set_memory_limit(self._value(pool, "memory"))
        if pool.accelerators:
            self._register(task, pool, "accelerator", "accelerators")
            task.set_accelerator_type(self._value(pool, "accelerator"))
            task.set_accelerator_limit(self._value(pool, "accelerators"))
        if pool.shared_memory:
            kubernetes.empty_dir_mount(
                task,
                volume_name="shared-memory",
                mount_path="/dev/shm",
                medium="Memory",
                size_limit=pool.shared_memory,
            )

    def _select_nodes(self, task: PipelineTask, pool: Pool) -> None:
        kubernetes.add_node_selector_json(task, self._value(pool, "selector"))
        kubernetes.add_toleration_json(task, self._value(pool, "tolerations"))

    def _value(self, pool: Pool, name: str) -> Any:
        return self._values[f"{pool.prefix}_{name}"]

    def _register(self, task: PipelineTask, pool: Pool, *names: str) -> None:
        """Tell the compiler that the task reads these parameters.

        `set_cpu_limit` and its like write a parameter down as text only (kfp 2.17): a loop or a
        branch around the task would not be handed it. kfp-kubernetes registers its own.
        """
        task.register_pipeline_channels([self._value(pool, name) for name in names])


def on_pools(*pools: Pool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a pipeline function the parameters of the pools that it uses.

    KFP reads a pipeline's parameters from its signature. The decorated function takes a
    `Placement` first; what KFP sees are its other parameters, then those of the pools, which would
    otherwise stand in every pipeline again.
    """
    parameters = {name: value for pool in pools for name, value in pool.parameters().items()}

    def decorate(build: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(build).parameters.values())[1:]

        @functools.wraps(build)
        def placed(*arguments: Any) -> Any:
            given, of_pools = arguments[: len(own)], arguments[len(own) :]
            return build(Placement(dict(zip(parameters, of_pools, strict=True))), *given)

        placed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            own
            + [
                inspect.Parameter(
                    name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind
                )
                for name, (kind, default, _) in parameters.items()
            ]
        )
        placed.__doc__ = (inspect.getdoc(build) or "") + "".join(
            f"\n    {name}: {text}" for name, (_, _, text) in parameters.items()
        )
        return placed

    return decorate
