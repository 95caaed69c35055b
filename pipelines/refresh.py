"""`refresh`: curate what is new; publish and train only if the data gate says so."""

from kfp import dsl

from components.assemble_dataset import assemble_dataset
from components.build_knowledge_base import build_knowledge_base
from components.check_data import check_data
from components.import_model import import_model
from components.publish_dataset import publish_dataset
from pipelines.curate import Crawl, label_crawl
from pipelines.full import train_on
from pipelines.placement import CPU, GPU_INFERENCE, GPU_TRAINING, Placement, on_pools
from pipelines.train import judge


@dsl.pipeline(name="openmofi-refresh", description="Curate what is new; publish and train if fit.")
@on_pools(CPU, GPU_INFERENCE, GPU_TRAINING)
def refresh(
    place: Placement,
    root: str,
    source: str,
    labeler: str,
    evaluation_data: str,
    model_name: str,
    run_name: str,
    parent: str = "published:main",
    publish_as: str = "main",
    baseline: str = "",
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
    gate: dict = {},
    shards: dict = {},
    training: dict = {},
    evaluate: dict = {},
    registration: dict = {},
    training_nodes: dict = {},
):
    """Curate what is new; publish and train only if the data gate says so.

    Shards that an earlier run has finished are found by their recipe and not done again. The data
    set is published before a model is trained: the two are promoted apart.

    Args:
        place: Puts each step on its pool; no parameter in KFP.
        root: Where everything lies: file:///folder or s3://bucket/prefix.
        source: The crawl, grown since the last run.
        labeler: The CLIP that labels: open_clip name, hf-hub:org/name, or a folder.
        evaluation_data: Held-out images: class folders, GPR1200, ImageNet or Karpathy's JSON.
        model_name: What the model is called, in MLflow's registry too.
        run_name: Name of this run, the parent in MLflow.
        parent: URI of the `dataset` manifest that the new version follows, or published:NAME for
            what stands under a name when the step runs, nothing the first time; empty for none.
        publish_as: Name that the new version is published under.
        baseline: URI of the `model` manifest to compare with; empty for none.
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
        gate: Section DataGateConfig.
        shards: Section ShardsConfig.
        training: Section TrainConfig.
        evaluate: Section EvaluateConfig.
        registration: Section RegisterConfig.
        training_nodes: Section NodesConfig.
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
    )
    imported = place(import_model(root=root, source=labeler, pretrained=labeler_pretrained))
    crawl = Crawl(
        root,
        source,
        groups,
        workers,
        entities.outputs["Output"],
        imported.outputs["Output"],
        sections,
    )
    dataset = place(
        assemble_dataset(
            **label_crawl(place, crawl).collected(),
            knowledge_base=entities.outputs["Output"],
            config=assemble,
            parent=parent,
            workers=workers,
        )
    )
    decision = place(check_data(dataset=dataset.outputs["Output"], parent=parent, config=gate))
    with dsl.If(decision.outputs["Output"] == True):  # noqa: E712
        published = place(publish_dataset(dataset=dataset.outputs["Output"], name=publish_as))
        names = {"model_name": model_name, "run_name": run_name}
        model = train_on(
            place,
            published,
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
