from kfp import dsl

from components.images import TRAINING


@dsl.component(base_image=TRAINING, install_kfp_package=False, packages_to_install=[])
def register_model(
    model: str,
    evaluation: str,
    model_name: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
    run_name: str = "",
) -> str:
    """Hold a model against the gate and register it in MLflow.

    Args:
        model: URI of the `model` manifest.
        evaluation: URI of its `evaluation` manifest.
        model_name: Name in the registry.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section RegisterConfig.
        run_name: Name of the pipeline run, the parent in MLflow.

    Returns:
        URI of the `registration` manifest. A refusal is a recorded decision, not a failure.
    """
    from pathlib import Path

    from openmofi.registry.register import register_model as run
    from openmofi.summary import summarize

    uri = run(model, evaluation, name=model_name, config=config, pipeline_run=run_name)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
