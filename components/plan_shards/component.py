from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def plan_shards(
    root: str,
    source: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    groups: int = 0,
    config: dict = {},
) -> list:
    """List the source's shards and split them into groups, one for each pod of the fan-out.

    Args:
        root: Where everything lies: file:///folder or s3://bucket/prefix.
        source: The crawl: a folder or prefix with tars, a folder of images, or a table.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        groups: How many groups, never more than there are shards; 0: as many as suit.
        config: Section IngestConfig.

    Returns:
        One string a group, `URI of the source_plan manifest#number`. There is at least one.
    """
    from pathlib import Path

    from openmofi.ingest.run import plan_groups as run
    from openmofi.summary import summarize

    planned = run(root, source=source, groups=int(groups), config=config)
    summary = summarize(planned[0].partition("#")[0])
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return planned
