"""A pools file: where a cluster's steps run, how long and how often, without a change to code."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from openmofi.config import Section, parse_config, read_yaml
from pipelines.cluster.timing import seconds
from pipelines.placement import CPU, GPU_TRAINING, POOLS, STEPS, Settings


def _as_text(value: Any) -> Any:
    return str(value) if type(value) in (int, float) else value


def _known_step(name: str) -> str:
    if name not in STEPS:
        raise ValueError(f"no step; the steps are {', '.join(sorted(STEPS))}")
    return name


Cpus = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^([1-9]\d*m?|\d+\.\d*[1-9])$")]
Size = Annotated[str, Field(pattern=r"^[1-9]\d*([KMGT]i?)$")]
StepName = Annotated[str, AfterValidator(_known_step)]
PoolName = Literal["cpu", "gpu-inference", "gpu-training"]


class Toleration(Section):
    """One taint that steps put up with, as Kubernetes writes it."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    tolerationSeconds: int | None = Field(None, ge=0)  # noqa: N815

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> "Toleration":
        if self.operator == "Exists" and self.value:
            raise ValueError("'value' has no place beside operator Exists")
        if self.operator == "Equal" and not self.key:
            raise ValueError("'key' is missing; only operator Exists goes without")
        return self


class PoolSettings(Section):
    """A pool; what is left out stays as it is in `pipelines.placement`.

    Without ``requested_cpus``, ``cpus`` is the request too, as Kubernetes has it.
    """

    selector: dict[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    cpus: Cpus | None = None
    requested_cpus: Cpus | None = None
    memory: Size | None = None
    accelerator: str | None = Field(None, min_length=1)
    accelerators: int | None = Field(None, ge=0)
    shared_memory: Size | None = None
    scratch: Size | None = None

    @model_validator(mode="after")
    def _asks_for_no_more_than_it_may_take(self) -> "PoolSettings":
        if self.cpus and self.requested_cpus and _cores(self.requested_cpus) > _cores(self.cpus):
            raise ValueError(f"'requested_cpus' {self.requested_cpus} is more than {self.cpus}")
        return self

    def given(self) -> dict[str, Any]:
        """What stands in the file, as `Pool` takes it."""
        found = self.model_dump(mode="json", exclude_unset=True)
        if self.tolerations is not None:
            found["tolerations"] = tuple(found["tolerations"])
        if self.cpus and not self.requested_cpus:
            found["requested_cpus"] = self.cpus
        return {name: value for name, value in found.items() if value is not None}


class StepSettings(Section):
    """A step; what is left out stays as it is in `pipelines.placement`."""

    timeout: str | None = Field(None, pattern=r"^[1-9]\d*[smhd]$")
    retries: int | None = Field(None, ge=0, le=20)

    def given(self) -> dict[str, Any]:
        """What stands in the file, as `Need` takes it."""
        found: dict[str, Any] = {}
        if self.timeout is not None:
            found["timeout_s"] = seconds(self.timeout)
        if self.retries is not None:
            found["retries"] = self.retries
        return found


class PoolsConfig(Section):
    """A whole pools file."""

    pools: dict[PoolName, PoolSettings] = Field(default_factory=dict)
    steps: dict[StepName, StepSettings] = Field(default_factory=dict)
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    parallel_groups: int = Field(50, ge=1)

    @model_validator(mode="after")
    def _gpus_are_for_gpu_pools(self) -> "PoolsConfig":
        cpu = self.pools.get("cpu")
        if cpu and (cpu.accelerator or cpu.accelerators):
            raise ValueError("'pools.cpu' takes no accelerators: its steps would not use them")
        for name, pool in self.pools.items():
            whole = replace(POOLS[name], **pool.given())
            if _cores(whole.requested_cpus) > _cores(whole.cpus):
                raise ValueError(
                    f"'pools.{name}.requested_cpus' {whole.requested_cpus} is more than the "
                    f"limit, {whole.cpus}: set 'cpus' too"
                )
        return self


@dataclass(frozen=True)
class Pools:
    """What a pools file says: constants to build graphs with, and arguments to start runs with."""

    settings: Settings

    def arguments(self, parameters: Iterable[str]) -> dict[str, Any]:
        """Values of those pool parameters that a pipeline has.

        Args:
            parameters: Names of all parameters of the pipeline.
        """
        known = set(parameters)
        return {name: value for name, value in self._values().items() if name in known}

    def applied(self, values: Mapping[str, Any], parameters: Iterable[str]) -> dict[str, Any]:
        """A run's arguments, with those of the pools.

        Args:
            values: What a pipeline's configuration gives. It speaks of the training pool only
                where training steps launch a job of several nodes and need no GPU themselves:
                then they go where the file puts the CPU pool.
            parameters: As above.
        """
        of_pools, moved = self.arguments(parameters), {}
        if f"{GPU_TRAINING.prefix}_selector" in values:
            found = self._values()
            for key in ("selector", "tolerations"):
                moved[f"{GPU_TRAINING.prefix}_{key}"] = found[f"{CPU.prefix}_{key}"]
        return {**of_pools, **values, **moved}

    def _values(self) -> dict[str, Any]:
        return {
            name: value
            for pool in self.settings.pools.values()
            for name, (_, value, _) in pool.parameters().items()
        }


def load_pools(path: Path) -> Pools:
    """Read a pools file.

    Args:
        path: A YAML file; configs/pools has examples.

    Raises:
        InputError: One line that names the file, the line in it and the key.
    """
    data = read_yaml(path)
    config = parse_config(PoolsConfig, data, where=str(path), lines=_lines(path))
    pools = {
        name: replace(pool, **config.pools[name].given()) if name in config.pools else pool
        for name, pool in POOLS.items()
    }
    steps = {
        name: replace(need, **config.steps[name].given()) if name in config.steps else need
        for name, need in STEPS.items()
    }
    return Pools(Settings(pools, steps, config.image_pull_policy, config.parallel_groups))


def _cores(cpus: str) -> Decimal:
    return Decimal(cpus[:-1]) / 1000 if cpus.endswith("m") else Decimal(cpus)


def _lines(path: Path) -> dict[tuple[str | int, ...], int]:
    """The line of every key of a YAML file that can be read, by its path."""
    return dict(_of_node(yaml.compose(path.read_text(encoding="utf-8")), ()))


def _of_node(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _of_node(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _of_node(value, (*path, number))
