"""The TrainJob of a run, as the object that Kubernetes is given.

Plain values, so that the library needs no Kubernetes package (docs/decisions/0014). Tests hold them
against the CRD of Kubeflow Trainer, and against the types of its SDK.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openmofi.launch.config import NodesConfig

API_VERSION = "trainer.kubeflow.org/v1alpha1"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
# Who made the job: only they take it away when they are told to stop.
RUN_ANNOTATION = "openmofi/run"


@dataclass(frozen=True)
class Launch:
    """One run on several nodes.

    Args:
        recipe: Key of the run, 32 hex digits: its job is named by it.
        training_shards: Manifest URI.
        config: Section TrainConfig, as plain values.
        name: Of the run, in MLflow and in the log.
        pipeline_run: Parent run in MLflow; empty: none.
    """

    recipe: str
    training_shards: str
    config: Mapping[str, Any]
    name: str
    pipeline_run: str = ""

    @property
    def job_name(self) -> str:
        """With what Trainer and JobSet put behind it, well below a label's 63 characters."""
        return f"openmofi-{self.recipe}"


def train_job(launch: Launch, nodes: NodesConfig, *, image: str) -> dict[str, Any]:
    """The job's object.

    Args:
        launch: What is trained.
        nodes: On what.
        image: Of the step that launches: nodes run the same code.
    """
    labels = {"app.kubernetes.io/part-of": "openmofi"}
    if nodes.queue:
        labels[QUEUE_LABEL] = nodes.queue
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainJob",
        "metadata": {
            "name": launch.job_name,
            "labels": labels,
            "annotations": {RUN_ANNOTATION: launch.pipeline_run},
        },
        "spec": {
            "runtimeRef": {"name": nodes.runtime},
            "activeDeadlineSeconds": nodes.hours * 3600,
            "trainer": {
                "image": image,
                "command": ["torchrun"],  # finds its peers by what the runtime's torch policy sets
                "args": [_literal(one) for one in _arguments(launch)],
                "numNodes": nodes.count,
                "numProcPerNode": nodes.processes,
                "resourcesPerNode": _resources(nodes),
            },
        },
    }


def _arguments(launch: Launch) -> list[str]:
    config = json.dumps(dict(launch.config), sort_keys=True, separators=(",", ":"))
    return [
        "-m",
        "openmofi",
        "train",
        f"--training-shards={launch.training_shards}",
        f"--name={launch.name}",
        f"--pipeline-run={launch.pipeline_run}",
        f"--config-json={config}",
    ]


def _literal(argument: str) -> str:
    """Kubernetes would put a variable's value in the place of ``$(NAME)``; ``$$`` is one dollar."""
    return argument.replace("$", "$$")


def _resources(nodes: NodesConfig) -> dict[str, dict[str, str]]:
    """Requests equal limits: a node that is short of memory ends others' pods first."""
    each = {"cpu": nodes.cpus, "memory": nodes.memory}
    if nodes.accelerators:
        each[nodes.accelerator] = str(nodes.accelerators)
    return {"requests": dict(each), "limits": dict(each)}
