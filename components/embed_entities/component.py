from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def embed_entities(
    knowledge_base: str,
    model: str,
    manifest: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
) -> str:
    """Encode the texts of all entities before the pods that score, if the configuration says so.

    Args:
        knowledge_base: URI of a `knowledge_base` manifest.
        model: URI of the labeler's `model` manifest.
        manifest: The model manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the model's manifest.
        config: Section LabelConfig, as `label_images` takes it.

    Returns:
        URI of the same `model` manifest: who takes it from here runs afterwards.
    """
    from pathlib import Path

    from openmofi.labeling.entities import embed_entities as run
    from openmofi.summary import summarize

    uri = run(knowledge_base, model, config=config)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
