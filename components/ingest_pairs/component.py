from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def ingest_pairs(
    group: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    workers: int = 1,
) -> str:
    """Copy one group of source shards into the pool, and check each sample alone.

    Args:
        group: One item of plan_shards.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        workers: Processes of this step.

    Returns:
        URI of the `samples` manifest of this group.
    """
    from pathlib import Path

    from openmofi.ingest.run import ingest_pairs as run
    from openmofi.summary import summarize

    uri = run(group, workers=int(workers))
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
