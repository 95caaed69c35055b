from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def check_data(
    dataset: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    parent: str = "",
    config: dict = {},
) -> bool:
    """Decide whether a new version of the data set is fit to be published and trained on.

    Args:
        dataset: URI of the new `dataset` manifest.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        parent: URI of the `dataset` manifest that it follows, or published:NAME; empty: its own.
        config: Section DataGateConfig.

    Returns:
        Whether the version has passed. A refusal is a recorded decision, not a failure.
    """
    from pathlib import Path

    from openmofi.dataset.gate import check_data as run
    from openmofi.summary import summarize

    decision = run(dataset, parent=parent, config=config)
    summary = summarize(decision.uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return decision.passed
