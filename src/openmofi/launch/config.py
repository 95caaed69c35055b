"""Configuration of training on several nodes."""

from typing import Annotated

from pydantic import Field

from openmofi.config import Section

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?$")]


class NodesConfig(Section):
    """How many nodes train one model, and what each of them takes.

    One node is the step's own pod. More are a TrainJob of Kubeflow Trainer, whose pool, volumes
    and secrets are its runtime's (k8s/gpu): another pool is another runtime.
    """

    count: int = Field(1, ge=1)
    queue: Name | None = None  # Kueue's LocalQueue that the job waits in; null: none
    runtime: Name = "openmofi-torch"  # a ClusterTrainingRuntime
    # One node's. The defaults are what a step asks of the pool gpu-training: requests are limits
    # here, so no node's whole number of CPUs, of which it offers its pods less.
    cpus: Quantity = "14"
    memory: Quantity = "64Gi"
    accelerator: str = Field("nvidia.com/gpu", pattern=r"^[-a-z0-9.]+/[-A-Za-z0-9._]+$")
    accelerators: int = Field(1, ge=0)
    hours: int = Field(7 * 24, ge=1)  # then the job is ended, whoever still watches it

    @property
    def processes(self) -> int:
        """Ranks of one node: one an accelerator, one on a node without."""
        return max(1, self.accelerators)
