from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def embed_images(
    samples: str,
    model: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
) -> str:
    """Embed every image with the labeler's image tower. Knows no entities.

    Args:
        samples: URI of a `samples` manifest.
        model: URI of the labeler's `model` manifest.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section EmbedConfig; `decode_workers` says how many processes decode.

    Returns:
        URI of the `image_embeddings` manifest.
    """
    from pathlib import Path

    from openmofi.labeling.embed import embed_images as run
    from openmofi.summary import summarize

    uri = run(samples, model, config=config)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
