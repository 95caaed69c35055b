"""`curate`: from a crawl to training shards, fanned out over groups of source shards."""

from dataclasses import dataclass, fields
from typing import Any

from kfp import dsl

from components.assemble_dataset import assemble_dataset
from components.build_knowledge_base import build_knowledge_base
from components.build_shards import build_shards
from components.detect_text import detect_text
from components.embed_entities import embed_entities
from components.embed_images import embed_images
from components.import_model import import_model
from components.ingest_pairs import ingest_pairs
from components.label_images import label_images
from components.link_entities import link_entities
from components.plan_shards import plan_shards
from pipelines.placement import CPU, GPU_INFERENCE, Placement, on_pools


@dataclass(frozen=True)
class Crawl:
    """What a curation reads, as pipeline parameters or values.

    Args:
        root: Where everything lies.
        source: The crawl.
        groups: How many pods share it.
        workers: Processes of one pod.
        knowledge_base: URI of its manifest.
        labeler: URI of the labeler's model manifest.
        sections: Configuration of each step, by step.
    """

    root: Any
    source: Any
    groups: Any
    workers: Any
    knowledge_base: Any
    labeler: Any
    sections: dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """What the fan-out of a curation makes, in each of its iterations."""

    samples: Any
    mentions: Any
    image_embeddings: Any
    entity_scores: Any
    text_regions: Any

    def collected(self, *names: str) -> dict[str, Any]:
        """The named tables over all groups, as `assemble_dataset` takes them; all by default.

        A new `dsl.Collected` for each use: the compiler rewrites the one that it is given.
        """
        names = names or tuple(field.name for field in fields(self))
        return {name: dsl.Collected(getattr(self, name)) for name in names}


def label_crawl(place: Placement, crawl: Crawl) -> Tables:
    """Add the fan-out of a curation to a pipeline."""
    sections, workers = crawl.sections, crawl.workers
    plan = place(
        plan_shards(
            root=crawl.root,
            source=crawl.source,
            groups=crawl.groups,
            config=sections["ingest"],
        )
    )
    # The model as it comes out of this step: the graph then says that labelling waits for it.
    labeler = place(
        embed_entities(
            knowledge_base=crawl.knowledge_base, model=crawl.labeler, config=sections["label"]
        )
    ).outputs["Output"]
    with place.over(plan.outputs["Output"]) as group:
        samples = place(ingest_pairs(group=group, workers=workers)).outputs["Output"]
        mentions = place(
            link_entities(
                samples=samples,
                knowledge_base=crawl.knowledge_base,
                config=sections["link"],
                workers=workers,
            )
        ).outputs["Output"]
        embeddings = place(
            embed_images(samples=samples, model=crawl.labeler, config=sections["embed"])
        ).outputs["Output"]
        regions = place(
            detect_text(samples=samples, config=sections["detect"], workers=workers)
        ).outputs["Output"]
        scores = place(
            label_images(
                image_embeddings=embeddings,
                mentions=mentions,
                knowledge_base=crawl.knowledge_base,
                model=labeler,
                config=sections["label"],
                workers=workers,
            )
        ).outputs["Output"]
    return Tables(samples, mentions, embeddings, scores, regions)


# A pipeline's parameters are its interface in KFP, one for each thing that a person may change:
# more than eight, as it has more than eight steps.
@dsl.pipeline(name="openmofi-curate", description="From a crawl to training shards.")
@on_pools(CPU, GPU_INFERENCE)
def curate(
    place: Placement,
    root: str,
    source: str,
    labeler: str,
    labeler_pretrained: str = "",
    wikidata: str = "",
    wordnet: str = "",
    knowledge_base_csv: str = "",
    groups: int = 0,
    workers: int = 1,
    knowledge_base: dict = {},
    ingest: dict = {},
    link: dict = {},
    embed: dict = {},
    label: dict = {},
    detect: dict = {},
    assemble: dict = {},
    shards: dict = {},
):
    """From a crawl to training shards.

    Args:
        place: Puts each step on its pool; no parameter in KFP.
        root: Where everything lies: file:///folder or s3://bucket/prefix.
        source: The crawl: a folder or prefix with tars, a folder of images, or a table.
        labeler: The CLIP that labels: open_clip name, hf-hub:org/name, or a folder.
        labeler_pretrained: Tag of its weights, for an open_clip name.
        wikidata: Wikidata JSON dump; empty for none.
        wordnet: Folder with WordNet's data files; empty for none.
        knowledge_base_csv: CSV of your own entities; empty for none.
        groups: How many pods share the crawl; 0: as many as suit its shards.
        workers: Processes of one pod.
        knowledge_base: Section KnowledgeBaseConfig.
        ingest: Section IngestConfig.
        link: Section LinkConfig.
        embed: Section EmbedConfig.
        label: Section LabelConfig.
        detect: Section DetectConfig.
        assemble: Section AssembleConfig.
        shards: Section ShardsConfig.
    """
    entities = place(
        build_knowledge_base(
            root=root,
            wikidata=wikidata,
            wordnet=wordnet,
            csv=knowledge_base_csv,
            config=knowledge_base,
            workers=workers,
        )
    )
    model = place(import_model(root=root, source=labeler, pretrained=labeler_pretrained))
    tables = label_crawl(
        place,
        Crawl(
            root=root,
            source=source,
            groups=groups,
            workers=workers,
            knowledge_base=entities.outputs["Output"],
            labeler=model.outputs["Output"],
            sections={
                "ingest": ingest,
                "link": link,
                "embed": embed,
                "label": label,
                "detect": detect,
            },
        ),
    )
    dataset = place(
        assemble_dataset(
            **tables.collected(),
            knowledge_base=entities.outputs["Output"],
            config=assemble,
            workers=workers,
        )
    )
    place(build_shards(dataset=dataset.outputs["Output"], config=shards, workers=workers))
