"""Where steps run: named node pools, and what each step asks of its pool.

A pool's node selector, tolerations, limits and accelerators are parameters of every pipeline that
uses it, so they can be set at submit time. What KFP takes as a constant only (timeouts, retries,
the size of /dev/shm) stands in `Settings`, with which a graph is built. `pipelines.pools` reads
both from a file.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

# Made by k8s/base. Optional, so that a cluster with workload identity needs no secret.
STORAGE_SECRET = "openmofi-storage"
SECRET_KEYS = {name: name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
SETTINGS = "openmofi-settings"
SETTINGS_KEYS = {name: name for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "MLFLOW_TRACKING_URI")}

LABEL = "openmofi/pool"

HOUR = 3600


@dataclass(frozen=True)
class Pool:
    """A kind of node.

    Args:
        name: Value of the label ``openmofi/pool`` on its nodes, by default.
        prefix: What its pipeline parameters begin with.
        cpus: Limit of one step, by default.
        requested_cpus: What is kept free for one step. Less than the limit: a node offers its pods
            less than it has, and a step for a whole node would find none.
        memory: Limit of one step, by default, and kept free for it: memory can't be shared out
            again, and a node that has given too much ends steps.
        accelerators: How many one step takes, by default; 0 for none.
        shared_memory: Size of /dev/shm for data loader workers; empty leaves the node's default.
        scratch: Limit of /tmp, where local copies of shards and models go. On the node's own disk,
            of which KFP can keep nothing free. A volume would belong to root: KFP sets no fsGroup.
        selector: Node labels; None for the label above.
        tolerations: Tolerated taints; None for the taint by the label's name.
        accelerator: Kind of accelerator; empty for a pool that never has one.
    """

    name: str
    prefix: str
    cpus: str
    requested_cpus: str
    memory: str
    accelerators: int = 0
    shared_memory: str = ""
    scratch: str = "50Gi"
    selector: Mapping[str, str] | None = field(default=None, hash=False)
    tolerations: tuple[Mapping[str, Any], ...] | None = field(default=None, hash=False)
    accelerator: str = ""

    def parameters(self) -> dict[str, tuple[type, Any, str]]:
        """Type, default and meaning of each of the pool's pipeline parameters."""
        taint = {"key": LABEL, "operator": "Equal", "value": self.name, "effect": "NoSchedule"}
        selector = {LABEL: self.name} if self.selector is None else dict(self.selector)
        tolerated = (taint,) if self.tolerations is None else self.tolerations
        found: dict[str, tuple[type, Any, str]] = {
            "selector": (dict, selector, "Node labels."),
            "tolerations": (list, [dict(one) for one in tolerated], "Tolerated taints."),
            "cpus": (str, self.cpus, "CPU limit of one step."),
            "requested_cpus": (str, self.requested_cpus, "CPUs kept free for one step."),
            "memory": (str, self.memory, "Memory of one step, kept free and not exceeded."),
        }
        if self.accelerator:
            found["accelerator"] = (str, self.accelerator, "Kind of accelerator.")
            # Text: what a pod is made of, KFP's driver reads as text only, and a number is nothing
            # to it. Steps would get no accelerator, and nobody would be told (2.17.0).
            accelerators = str(self.accelerators)
            found["accelerators"] = (str, accelerators, "Accelerators of one step, 0 for none.")
        return {
            f"{self.prefix}_{name}": (kind, default, f"Pool {self.name}: {text}")
            for name, (kind, default, text) in found.items()
        }


_GPU = "nvidia.com/gpu"
CPU = Pool("cpu", "cpu_pool", "4", "3500m", "16Gi")
GPU_INFERENCE = Pool(
    "gpu-inference", "inference_pool", "8", "7", "32Gi", 1, "4Gi", "50Gi", accelerator=_GPU
)
GPU_TRAINING = Pool(
    "gpu-training", "training_pool", "16", "14", "64Gi", 1, "16Gi", "200Gi", accelerator=_GPU
)
POOLS: Mapping[str, Pool] = MappingProxyType(
    {pool.name: pool for pool in (CPU, GPU_INFERENCE, GPU_TRAINING)}
)


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
    "register-model": Need(CPU, 2 * HOUR),  # embeds the gallery
}
SMALL_CPUS, SMALL_REQUESTED_CPUS, SMALL_MEMORY = "1", "250m", "4Gi"


@dataclass(frozen=True)
class Settings:
    """What a graph is built with, as KFP takes it as a constant only.

    Args:
        pools: By name.
        steps: What each step asks for.
        image_pull_policy: Of every step's image. `Always` for a tag that moves; digests don't.
        parallel_groups: How many groups of a fan-out run at once.
    """

    pools: Mapping[str, Pool] = field(default_factory=lambda: POOLS)
    steps: Mapping[str, Need] = field(default_factory=lambda: STEPS)
    image_pull_policy: str = "IfNotPresent"
    parallel_groups: int = 50


_SETTINGS: ContextVar[Settings] = ContextVar("settings", default=Settings())  # noqa: B039


@contextlib.contextmanager
def building_with(settings: Settings) -> Iterator[None]:
    """Pipeline functions that are called in this context place their steps by ``settings``."""
    token = _SETTINGS.set(settings)
    try:
        yield
    finally:
        _SETTINGS.reset(token)


class Placement:
    """Places tasks by the values of a pipeline's pool parameters."""

    def __init__(self, values: Mapping[str, Any], settings: Settings) -> None:
        self._values = values
        self._settings = settings

    def over(self, groups: Any) -> dsl.ParallelFor:
        """A loop over groups of shards, so many of them at once as the settings say."""
        return dsl.ParallelFor(groups, parallelism=self._settings.parallel_groups)

    def __call__(self, task: PipelineTask, title: str = "") -> PipelineTask:
        """Put a task on its step's pool.

        Args:
            task: The task.
            title: What it is called, where a step occurs more than once. KFP's own numbers would
                depend on the order in the file.
        """
        need = self._settings.steps[task.component_spec.name]
        pool = self._settings.pools[need.pool.name]
        task.set_caching_options(False)  # ours sees what an image and a bucket hold; KFP's can't
        task.set_display_name(title or task.component_spec.name)
        kubernetes.set_timeout(task, need.timeout_s)
        if need.retries:
            task.set_retry(need.retries, "30s", 2.0, "600s")
        kubernetes.use_secret_as_env(task, STORAGE_SECRET, SECRET_KEYS, optional=True)
        kubernetes.use_config_map_as_env(task, SETTINGS, SETTINGS_KEYS, optional=True)
        kubernetes.set_image_pull_policy(task, self._settings.image_pull_policy)
        # The server refuses root only if it's told to. It drops capabilities and forbids more
        # rights by itself; that the root file system is read-only can't be said through KFP.
        kubernetes.set_security_context(task, run_as_non_root=True)
        self._limit(task, pool, small=need.small)
        _mount_scratch(task, pool)
        self._select_nodes(task, pool)
        return task

    def _limit(self, task: PipelineTask, pool: Pool, *, small: bool) -> None:
        # For the words of an error that can't come here, since a step is no graph, kfp 2.17 reads
        # the source of all callers at each limit: nine tenths of the time that a graph takes.
        task._ensure_container_spec_exists = lambda: None
        if small:
            task.set_cpu_limit(SMALL_CPUS).set_cpu_request(SMALL_REQUESTED_CPUS)
            task.set_memory_limit(SMALL_MEMORY).set_memory_request(SMALL_MEMORY)
        else:
            self._register(task, pool, "cpus", "requested_cpus", "memory")
            task.set_cpu_limit(self._value(pool, "cpus"))
            task.set_cpu_request(self._value(pool, "requested_cpus"))
            task.set_memory_limit(self._value(pool, "memory"))
            task.set_memory_request(self._value(pool, "memory"))
        if pool.accelerator:
            self._register(task, pool, "accelerator", "accelerators")
            task.set_accelerator_type(self._value(pool, "accelerator"))
            task.set_accelerator_limit(self._value(pool, "accelerators"))

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


def _mount_scratch(task: PipelineTask, pool: Pool) -> None:
    """What docs/images.md names: all that a step writes goes to /tmp, a loader's to /dev/shm."""
    kubernetes.empty_dir_mount(task, "scratch", "/tmp", size_limit=pool.scratch)
    if pool.shared_memory:
        kubernetes.empty_dir_mount(
            task, "shared-memory", "/dev/shm", medium="Memory", size_limit=pool.shared_memory
        )


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
            values = dict(zip(parameters, of_pools, strict=True))
            return build(Placement(values, _SETTINGS.get()), *given)

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
