from kfp import dsl

from components.images import TRAINING


@dsl.component(base_image=TRAINING, install_kfp_package=False, packages_to_install=[])
def train_model(
    training_shards: str,
    model_name: str,
    manifest: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
    run_name: str = "",
    nodes: dict = {},
) -> str:
    """Train one recipe for a number of steps and export the model.

    Args:
        training_shards: URI of a `training_shards` manifest.
        model_name: What the run and the model are called.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section TrainConfig.
        run_name: Name of the pipeline run, the parent in MLflow.
        nodes: Section NodesConfig; on several nodes this step only launches and follows.

    Returns:
        URI of the `model` manifest.
    """
    from pathlib import Path

    from openmofi.launch.train import train_model as run
    from openmofi.summary import summarize

    uri = run(training_shards, config=config, name=model_name, pipeline_run=run_name, nodes=nodes)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
