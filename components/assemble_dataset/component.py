from kfp import dsl

from components.images import CURATION


@dsl.component(base_image=CURATION, install_kfp_package=False, packages_to_install=[])
def assemble_dataset(
    samples: list,
    manifest: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    card: dsl.Output[dsl.HTML],
    mentions: list = [],
    image_embeddings: list = [],
    entity_scores: list = [],
    text_regions: list = [],
    knowledge_base: str = "",
    config: dict = {},
    parent: str = "",
    masked_scores: list = [],
    workers: int = 1,
) -> str:
    """Decide what is kept and under which labels: one version of the data set.

    Args:
        samples: URIs of `samples` manifests, one a group.
        manifest: The manifest's JSON; URI, digest and counts as metadata.
        metrics: Every number of the manifest.
        card: The data card.
        mentions: URIs of `mentions` manifests; empty for all pairs with alt text only.
        image_embeddings: URIs of `image_embeddings` manifests.
        entity_scores: URIs of `entity_scores` manifests.
        text_regions: URIs of `text_regions` manifests.
        knowledge_base: URI of the `knowledge_base` manifest.
        config: Section AssembleConfig; the files that it names must be within the pod's reach.
        parent: URI of the `dataset` manifest to follow, or published:NAME; its class indices stay.
        masked_scores: URIs of `masked_scores` manifests; for the text policy `text_dependent` only.
        workers: Processes of this step, which zip the tables shard by shard.

    Returns:
        URI of the `dataset` manifest.
    """
    from pathlib import Path

    from openmofi.dataset.assemble import assemble_dataset as run
    from openmofi.summary import summarize

    uri = run(
        samples=samples,
        mentions=mentions,
        image_embeddings=image_embeddings,
        entity_scores=entity_scores,
        text_regions=text_regions,
        knowledge_base=knowledge_base,
        config=config,
        parent=parent,
        masked_scores=masked_scores,
        workers=int(workers),
    )
    summary = summarize(uri)
    Path(manifest.path).write_text(summary.text)
    manifest.metadata.update(summary.metadata)
    metrics.metadata.update(summary.metrics)
    Path(card.path).write_text(summary.html)
    return uri
