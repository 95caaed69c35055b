"""`full`: labeler, data set, a baseline on the raw pairs, the model, evaluation, registry."""

from typing import Any

from kfp import dsl

from components.assemble_dataset import assemble_dataset
from components.build_knowledge_base import build_knowledge_base
from components.build_shards import build_shards
from components.import_model import import_model
from components.ingest_pairs import ingest_pairs
from components.plan_shards import plan_shards
from components.train_model import train_model
from pipelines.curate import Crawl, label_crawl
from pipelines.placement import CPU, GPU_INFERENCE, GPU_TRAINING, Placement, on_pools
from pipelines.train import judge


def train_labeler(
    place: Placement, crawl: Crawl, raw: Any, training: Any, nodes: Any, run_name: Any
) -> Any:
    """Add the training of a CLIP on all usable pairs of a crawl.

    Returns:
        URI of its model manifest.
    """
    plan = place(
        plan_shards(
            root=crawl.root,
            source=crawl.source,
            groups=crawl.groups,
            config=crawl.sections["ingest"],
        ),
        "plan-labeler-shards",
    )
    with place.over(plan.outputs["Output"]) as group:
        samples = place(ingest_pairs(group=group, workers=crawl.workers), "ingest-labeler-pairs")
    dataset = place(
        assemble_dataset(
            samples=dsl.Collected(samples.outputs["Output"]), config=raw, workers=crawl.workers
        ),
        "assemble-labeler-dataset",
    )
    return train_on(
        place,
        dataset,
        crawl,
        title="labeler",
        training=training,
        nodes=nodes,
        names={"model_name": "labeler", "run_name": run_name},
    )


def train_on(
    place: Placement,
    dataset: Any,
    crawl: Crawl,
    *,
    title: str,
    training: Any,
    nodes: Any,
    names: dict[str, Any],
) -> Any:
    """Add training shards of a data set, and a model trained on them.

    Returns:
        URI of its model manifest.
    """
    shards = place(
        build_shards(
            dataset=dataset.outputs["Output"],
            config=crawl.sections["shards"],
            workers=crawl.workers,
        ),
        f"build-{title}-shards",
    )
    return place(
        train_model(
            training_shards=shards.outputs["Output"], config=training, nodes=nodes, **names
        ),
        f"train-{title}",
    ).outputs["Output"]


@dsl.pipeline(name="openmofi-full", description="From a crawl to a registered model.")
@on_pools(CPU, GPU_INFERENCE, GPU_TRAINING)
def full(
    place: Placement,
    root: str,
    source: str,
    evaluation_data: str,
    model_name: str,
    run_name: str,
    train_the_labeler: bool = False,
    labeler: str = "",
    labeler_pretrained: str = "",
    labeler_crawl: str = "",
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
    assemble_raw: dict = {},
    shards: dict = {},
    labeler_training: dict = {},
    baseline_training: dict = {},
    training: dict = {},
    evaluate: dict = {},
    registration: dict = {},
    training_nodes: dict = {},
):
    """From a crawl to a registered model, with a CLIP on the raw pairs to compare with.

    Args:
        place: Puts each step on its pool; no parameter in KFP.
        root: Where everything lies: file:///folder or s3://bucket/prefix.
        source: The crawl: a folder or prefix with tars, a folder of images, or a table.
        evaluation_data: Held-out images: class folders, GPR1200, ImageNet or Karpathy's JSON.
        model_name: What the model is called, in MLflow's registry too.
        run_name: Name of this run, the parent in MLflow.
        train_the_labeler: Train the CLIP that labels on labeler_crawl; else import labeler.
        labeler: The CLIP that labels: open_clip name, hf-hub:org/name, or a folder.
        labeler_pretrained: Tag of its weights, for an open_clip name.
        labeler_crawl: A second crawl, so that the labeler never scores what it has memorised.
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
        assemble: Section AssembleConfig of the data set.
        assemble_raw: Section AssembleConfig of all usable pairs.
        shards: Section ShardsConfig.
        labeler_training: Section TrainConfig of the labeler.
        baseline_training: Section TrainConfig of the CLIP on the raw pairs.
        training: Section TrainConfig of the model.
        evaluate: Section EvaluateConfig.
        registration: Section RegisterConfig.
        training_nodes: Section NodesConfig, of each training.
    """
    sections = {
        "ingest": ingest,
        "link": link,
        "embed": embed,
        "label": label,
        "detect": detect,
        "shards": shards,
    }
    entities = place(
        build_knowledge_base(
            root=root,
            wikidata=wikidata,
            wordnet=wordnet,
            csv=knowledge_base_csv,
            config=knowledge_base,
            workers=workers,
        )
    ).outputs["Output"]
    # A truth value, because kfp.local skips both branches when a text holds a quotation mark.
    with dsl.If(train_the_labeler == True):  # noqa: E712
        trained = train_labeler(
            place,
            Crawl(root, labeler_crawl, groups, workers, entities, None, sections),
            assemble_raw,
            labeler_training,
            training_nodes,
            run_name,
        )
    with dsl.Else():
        imported = place(import_model(root=root, source=labeler, pretrained=labeler_pretrained))
    chosen = dsl.OneOf(trained, imported.outputs["Output"])

    crawl = Crawl(root, source, groups, workers, entities, chosen, sections)
    tables = label_crawl(place, crawl)
    raw = place(
        assemble_dataset(**tables.collected("samples"), config=assemble_raw, workers=workers),
        "assemble-raw-dataset",
    )
    baseline = train_on(
        place,
        raw,
        crawl,
        title="baseline",
        training=baseline_training,
        nodes=training_nodes,
        names={"model_name": "baseline", "run_name": run_name},
    )
    dataset = place(
        assemble_dataset(
            **tables.collected(), knowledge_base=entities, config=assemble, workers=workers
        )
    )
    names = {"model_name": model_name, "run_name": run_name}
    model = train_on(
        place,
        dataset,
        crawl,
        title="model",
        training=training,
        nodes=training_nodes,
        names=names,
    )
    judge(
        place,
        candidate=model,
        baseline=baseline,
        data=evaluation_data,
        evaluate=evaluate,
        registration=registration,
        names=names,
    )
