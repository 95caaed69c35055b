from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def label_images(
    image_embeddings: str,
    mentions: str,
    knowledge_base: str,
    model: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
    workers: int = 1,
) -> str:
    """Score each image against the candidate entities of its texts. Reads no pixels.

    Args:
        image_embeddings: URI of an `image_embeddings` manifest.
        mentions: URI of a `mentions` manifest.
        knowledge_base: URI of a `knowledge_base` manifest.
        model: URI of the labeler's `model` manifest.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section LabelConfig.
        workers: Processes of this step.

    Returns:
        URI of the `entity_scores` manifest.
    """
    from pathlib import Path

    from openmofi.labeling.score import label_images as run
    from openmofi.summary import summarize

    uri = run(
        image_embeddings, mentions, knowledge_base, model, config=config, workers=int(workers)
    )
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
