from kfp import dsl

from components.images import TRAINING


@dsl.component(base_image=TRAINING, install_kfp_package=False, packages_to_install=[])
def evaluate_model(
    candidate: str,
    data: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    baseline: str = "",
    config: dict = {},
    run_name: str = "",
) -> str:
    """Measure a model, with a baseline model and a colour histogram beside it.

    Args:
        candidate: URI of the `model` manifest to measure.
        data: Held-out images: class folders, GPR1200, ImageNet or Karpathy's JSON.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        report: The evaluation report.
        baseline: URI of the `model` manifest to compare with; empty for none.
        config: Section EvaluateConfig.
        run_name: Name of the pipeline run, the parent in MLflow.

    Returns:
        URI of the `evaluation` manifest.
    """
    from pathlib import Path

    from openmofi.evaluation.run import evaluate_model as run
    from openmofi.summary import summarize

    uri = run(candidate, data=data, baseline=baseline, config=config, pipeline_run=run_name)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    Path(report.path).write_text(summary.html)
    return uri
