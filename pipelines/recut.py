"""`recut`: another cut of a curation that is there, by what depends on the text in pictures."""

from kfp import dsl

from components.assemble_dataset import assemble_dataset
from components.build_shards import build_shards
from components.score_masked_images import score_masked_images
from pipelines.placement import CPU, GPU_INFERENCE, Placement, on_pools


# A step of its own pipeline and not of `curate`: a policy is a value of assembly's, and pods with a
# GPU would start there to find that nobody asked. The lists name one manifest a group, as an
# earlier run's outputs do, and need not be in the same order.
@dsl.pipeline(name="openmofi-recut", description="Another cut, by what depends on text.")
@on_pools(CPU, GPU_INFERENCE)
def recut(
    place: Placement,
    samples: list,
    image_embeddings: list,
    text_regions: list,
    model: str,
    mentions: list = [],
    entity_scores: list = [],
    knowledge_base: str = "",
    parent: str = "",
    workers: int = 1,
    mask: dict = {},
    assemble: dict = {},
    shards: dict = {},
):
    """Another cut of a curation that is there, by what depends on the text in pictures.

    Nothing is detected, linked or scored again, and images are embedded again only with text
    covered.

    Args:
        place: Puts each step on its pool; no parameter in KFP.
        samples: URIs of the `samples` manifests, one a group.
        image_embeddings: URIs of the `image_embeddings` manifests.
        text_regions: URIs of the `text_regions` manifests.
        model: URI of the `model` manifest that made the embeddings.
        mentions: URIs of the `mentions` manifests; empty for pairs with alt text only.
        entity_scores: URIs of the `entity_scores` manifests; empty as above.
        knowledge_base: URI of the `knowledge_base` manifest; empty as above.
        parent: URI of the `dataset` manifest that this version follows; its class indices are kept.
        workers: Processes of one pod.
        mask: Section MaskConfig.
        assemble: Section AssembleConfig; `text.policy` says what masked scores decide.
        shards: Section ShardsConfig.
    """
    with place.over(samples) as group:
        masked = place(
            score_masked_images(
                samples=group,
                image_embeddings=image_embeddings,
                text_regions=text_regions,
                model=model,
                config=mask,
            )
        )
    dataset = place(
        assemble_dataset(
            samples=samples,
            mentions=mentions,
            image_embeddings=image_embeddings,
            entity_scores=entity_scores,
            text_regions=text_regions,
            masked_scores=dsl.Collected(masked.outputs["Output"]),
            knowledge_base=knowledge_base,
            config=assemble,
            parent=parent,
            workers=workers,
        )
    )
    place(build_shards(dataset=dataset.outputs["Output"], config=shards, workers=workers))
