from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def build_shards(
    dataset: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
    workers: int = 1,
) -> str:
    """Copy what is kept into shuffled training shards, with labels and an offset index.

    Args:
        dataset: URI of a `dataset` manifest.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section ShardsConfig.
        workers: Processes of this step.

    Returns:
        URI of the `training_shards` manifest.
    """
    from pathlib import Path

    from openmofi.dataset.training_shards import build_shards as run
    from openmofi.summary import summarize

    uri = run(dataset, config=config, workers=int(workers))
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
