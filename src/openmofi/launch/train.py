"""Train one model, on this machine or on several nodes of a cluster."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openmofi.config import parse_config
from openmofi.launch.api import Kubernetes, Place
from openmofi.launch.config import NodesConfig
from openmofi.launch.follow import Following
from openmofi.launch.job import Launch, train_job
from openmofi.progress import say


def train_model(
    training_shards: str,
    *,
    config: Mapping[str, Any] | None = None,
    name: str,
    pipeline_run: str = "",
    nodes: Mapping[str, Any] | None = None,
) -> str:
    """Train a model as `openmofi.training.run.train_model` does, on as many nodes as are asked for.

    Args:
        training_shards: Manifest URI.
        config: See `TrainConfig`.
        name: What the run is called in MLflow and in the log.
        pipeline_run: Parent run in MLflow; empty: the run stands alone.
        nodes: See `NodesConfig`. More than one make a TrainJob, which is named by the run's
            recipe: there is one, however often this is called. It needs a pod of a cluster.

    Returns:
        URI of a ``model`` manifest.

    Raises:
        InputError: The config cannot be trained on, or this is no pod; before any job is made.
        TrainJobError: The job failed, or somebody deleted it.
        KubernetesError: The API server refuses, or is away for too long.
    """
    settings = parse_config(NodesConfig, nodes, where="training_nodes")
    if settings.count == 1:
        from openmofi.training import run  # torch takes seconds to import

        return run.train_model(training_shards, config=config, name=name, pipeline_run=pipeline_run)
    launch = Launch("", training_shards, dict(config or {}), name, pipeline_run)
    return train_on_nodes(launch, settings, Kubernetes(Place.of_this_pod()))


def train_on_nodes(
    launch: Launch, nodes: NodesConfig, api: Kubernetes, *, poll_s: float = 10.0
) -> str:
    """Have a TrainJob train the run, unless its recipe is trained already.

    Args:
        launch: What is trained; its recipe is found here.
        nodes: On what.
        api: Of the cluster.
        poll_s: Seconds between two looks at the job.
    """
    from openmofi.training.building import plan_run
    from openmofi.training.config import TrainConfig
    from openmofi.training.data import share_of_batch
    from openmofi.training.run import finished_model
    from openmofi.versions import read_manifest

    settings = parse_config(TrainConfig, launch.config, where="train")
    share_of_batch(settings.batch_size, nodes.count * nodes.processes)
    manifest = read_manifest(launch.training_shards, "training_shards")
    plan = plan_run(settings, manifest, launch.name)
    if finished := finished_model(plan):
        say(f"train {launch.name}: reused {finished}, trained before on the same shards and config")
        return finished
    keyed = replace(launch, recipe=plan.recipe)
    job = train_job(keyed, nodes, image=api.own_image())
    return Following(api, job, lambda: finished_model(plan), poll_s).run()
