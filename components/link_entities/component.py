from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def link_entities(
    samples: str,
    knowledge_base: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
    workers: int = 1,
) -> str:
    """Find mentions of entities in the texts, with their candidates and priors.

    Args:
        samples: URI of a `samples` manifest.
        knowledge_base: URI of a `knowledge_base` manifest.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section LinkConfig.
        workers: Processes of this step.

    Returns:
        URI of the `mentions` manifest.
    """
    from pathlib import Path

    from openmofi.entities.link import link_entities as run
    from openmofi.summary import summarize

    uri = run(samples, knowledge_base, config=config, workers=int(workers))
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
