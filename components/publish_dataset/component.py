from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def publish_dataset(
    dataset: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    name: str = "main",
) -> str:
    """Let a name stand for a version of the data set: one small write.

    Args:
        dataset: URI of the `dataset` manifest.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        name: What the version is published as.

    Returns:
        URI of the `dataset` manifest, which stands under the name now.
    """
    from pathlib import Path

    from openmofi.dataset.versions.published import publish as run
    from openmofi.summary import summarize

    run(dataset, name=name, why="refresh")
    summary = summarize(dataset)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return dataset
