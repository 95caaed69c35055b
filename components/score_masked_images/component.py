from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def score_masked_images(
    samples: str,
    image_embeddings: list,
    text_regions: list,
    model: str,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    config: dict = {},
) -> str:
    """Cover the text in images, embed them again, and compare both with the alt text.

    Args:
        samples: URI of a `samples` manifest: the shards to be done.
        image_embeddings: URIs of `image_embeddings` manifests; they may hold more shards.
        text_regions: URIs of `text_regions` manifests; they may hold more shards.
        model: URI of the `model` manifest that made the embeddings.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        config: Section MaskConfig; `decode_workers` says how many processes decode.

    Returns:
        URI of the `masked_scores` manifest.
    """
    from pathlib import Path

    from openmofi.labeling.masked import score_masked_images as run
    from openmofi.summary import summarize

    uri = run([samples], image_embeddings, text_regions, model, config=config)
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    return uri
