"""Configuration of a pipeline: one YAML file, the rooms' sections beside what the graph reads.

Keys are the pipeline's parameters. Relative paths are relative to the working directory.
"""

import os
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import Field, model_validator

from openmofi.config import Section, parse_config, read_yaml
from openmofi.dataset.config import AssembleConfig, ShardsConfig
from openmofi.dataset.gate import DataGateConfig
from openmofi.dataset.versions.published import pointer_key
from openmofi.entities.config import KnowledgeBaseConfig, LinkConfig
from openmofi.errors import InputError
from openmofi.evaluation.config import EvaluateConfig
from openmofi.ingest.config import IngestConfig
from openmofi.labeling.config import EmbedConfig, LabelConfig, MaskConfig
from openmofi.launch.config import NodesConfig
from openmofi.registry.config import RegisterConfig
from openmofi.textregions.config import DetectConfig
from openmofi.training.config import TrainConfig
from pipelines.nodes import with_launcher


class PipelineConfig(Section):
    """What every pipeline has."""

    pipeline: ClassVar[str]
    root: str = ""  # empty: ./openmofi-data

    def arguments(self, run_name: str) -> dict[str, Any]:
        """The pipeline's parameters, with only those options that the user has set."""
        plain = self.model_dump(mode="json", exclude_unset=True)
        return {**plain, "root": self.resolved_root()}

    def problem(self) -> str:
        """What is wrong across fields, or an empty string."""
        return ""

    def resolved_root(self) -> str:
        """Where everything lies."""
        given = self.root or "openmofi-data"
        return given if "://" in given else Path(given).absolute().as_uri()


class CrawlConfig(PipelineConfig):
    """What a curation reads."""

    source: str = Field(min_length=1)
    labeler: str = ""
    labeler_pretrained: str = ""
    wikidata: str = ""
    wordnet: str = ""
    knowledge_base_csv: str = ""
    groups: int = Field(0, ge=0)  # 0: as many as suit the number of shards
    workers: int = Field(1, ge=1)
    knowledge_base: KnowledgeBaseConfig = KnowledgeBaseConfig()
    ingest: IngestConfig = IngestConfig()
    link: LinkConfig = LinkConfig()
    embed: EmbedConfig = EmbedConfig()
    label: LabelConfig = LabelConfig()
    detect: DetectConfig = DetectConfig()
    assemble: AssembleConfig = AssembleConfig()
    shards: ShardsConfig = ShardsConfig()

    def problem(self) -> str:
        """The knowledge base or the labeler, where one is missing."""
        if not (self.wikidata or self.wordnet or self.knowledge_base_csv):
            return "no knowledge base: set 'wikidata', 'wordnet', 'knowledge_base_csv' or several"
        if self.assemble.text.drop_text and self.assemble.text.policy == "text_dependent":
            return (
                "'assemble.text.policy' text_dependent needs masked scores, which `recut` makes: "
                "curate with any_text, then run recut over what it printed"
            )
        return self._labeler_problem()

    def _labeler_problem(self) -> str:
        return "" if self.labeler else "'labeler' is missing: the CLIP that labels"


class ModelConfig(PipelineConfig):
    """What training, evaluation and registration read."""

    model_name: str = Field("openmofi", min_length=1)
    evaluation_data: str = Field(min_length=1)
    training: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    registration: RegisterConfig = RegisterConfig()
    training_nodes: NodesConfig = NodesConfig()

    def arguments(self, run_name: str) -> dict[str, Any]:
        """The pipeline's parameters, with those of a step that launches a training."""
        return with_launcher(super().arguments(run_name))

    @model_validator(mode="after")
    def _ranks_divide_the_batch(self) -> "ModelConfig":
        nodes, batch = self.training_nodes, self.training.batch_size
        if nodes.count > 1 and batch % (nodes.count * nodes.processes):
            raise ValueError(
                f"training.batch_size {batch} is that of all ranks together, and "
                f"{nodes.count} nodes with {nodes.processes} ranks each do not divide it"
            )
        return self


class CurateConfig(CrawlConfig):
    """`curate`."""

    pipeline = "curate"


class TrainPipelineConfig(ModelConfig):
    """`train`."""

    pipeline = "train"
    training_shards: str = Field(min_length=1)
    baseline: str = ""

    def arguments(self, run_name: str) -> dict[str, Any]:
        """The pipeline's parameters; a model lies where its training shards lie."""
        found = {**super().arguments(run_name), "run_name": run_name}
        del found["root"]
        return {"model_name": self.model_name, **found}


class RefreshConfig(CrawlConfig, ModelConfig):
    """`refresh`."""

    pipeline = "refresh"
    parent: str = "published:main"
    publish_as: str = Field("main", min_length=1)
    baseline: str = ""
    gate: DataGateConfig = DataGateConfig()

    def problem(self) -> str:
        """A name that cannot be published, beside what a crawl can lack."""
        try:
            pointer_key(self.publish_as)
        except InputError as error:
            return f"'publish_as': {error}"
        return super().problem()

    def arguments(self, run_name: str) -> dict[str, Any]:
        """The pipeline's parameters; assembly keeps clear of the evaluation data."""
        found = {"parent": f"published:{self.publish_as}", **super().arguments(run_name)}
        found["assemble"] = _clear_of(self.evaluation_data, found.get("assemble", {}))
        return {"model_name": self.model_name, **found, "run_name": run_name}


class FullConfig(CrawlConfig, ModelConfig):
    """`full`.

    The labeler is trained where ``labeler_crawl`` is given. The baseline is a CLIP on the raw
    pairs with the options of ``training``, and so for the same number of steps.
    """

    pipeline = "full"
    labeler_crawl: str = ""
    labeler_training: TrainConfig | None = None

    def arguments(self, run_name: str) -> dict[str, Any]:
        """The pipeline's parameters, with those that follow from others."""
        found = super().arguments(run_name)
        assemble = _clear_of(self.evaluation_data, found.get("assemble", {}))
        if self.labeler_training is None:
            found.pop("labeler_training", None)
        clip = {**found.get("training", {}), "objectives": [{"kind": "clip"}]}
        return {
            "model_name": self.model_name,
            "labeler_training": clip,
            **found,
            "run_name": run_name,
            "train_the_labeler": bool(self.labeler_crawl),
            "assemble": assemble,
            "assemble_raw": _raw(assemble),
            "baseline_training": clip,
        }

    def _labeler_problem(self) -> str:
        if bool(self.labeler) == bool(self.labeler_crawl):
            return "set 'labeler' (a CLIP to import) or 'labeler_crawl' (to train one), not both"
        return ""


class RecutConfig(PipelineConfig):
    """`recut`. Manifests of an earlier curation; lists name one a group of shards."""

    pipeline = "recut"
    samples: tuple[str, ...] = Field(min_length=1)
    image_embeddings: tuple[str, ...] = Field(min_length=1)
    text_regions: tuple[str, ...] = Field(min_length=1)
    model: str = Field(min_length=1)
    mentions: tuple[str, ...] = ()
    entity_scores: tuple[str, ...] = ()
    knowledge_base: str = ""
    parent: str = ""
    workers: int = Field(1, ge=1)
    mask: MaskConfig = MaskConfig()
    assemble: AssembleConfig = AssembleConfig()
    shards: ShardsConfig = ShardsConfig()

    def arguments(self, run_name: str) -> dict[str, Any]:
        """The pipeline's parameters; everything goes where the tables lie."""
        found = super().arguments(run_name)
        del found["root"]
        return found

    def problem(self) -> str:
        """What assembly would refuse after hours of masking."""
        if not self.assemble.require_entities:
            return ""
        needed = ("mentions", "entity_scores", "knowledge_base")
        missing = [name for name in needed if not getattr(self, name)]
        return (
            f"no {missing[0]}: give it, or set assemble.require_entities: false" if missing else ""
        )


CONFIGS: dict[str, type[PipelineConfig]] = {
    config.pipeline: config
    for config in (CurateConfig, TrainPipelineConfig, FullConfig, RefreshConfig, RecutConfig)
}


def load_config(name: str, path: Path, settings: list[str]) -> Any:
    """Read a pipeline's configuration.

    ``root`` is the setting's, else the environment's (OPENMOFI_ROOT), else the file's.

    Args:
        name: The pipeline.
        path: A YAML file.
        settings: ``a.b=value``, laid over the file; values are YAML.

    Raises:
        InputError: One line that names the file and the key.
    """
    data = read_yaml(path)
    if root := os.environ.get("OPENMOFI_ROOT"):
        data["root"] = root
    for setting in settings:
        _set(data, setting)
    where = f"{path} with --set" if settings else str(path)
    config = parse_config(CONFIGS[name], data, where=where)
    problem = config.problem()
    if problem:
        raise InputError(f"{where}: {problem}")
    return config


def _set(data: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise InputError(f"--set {setting!r}: write KEY=VALUE, such as training.max_steps=100")
    *parents, last = path.split(".")
    for part in parents:
        inner = data.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {setting!r}: '{part}' holds no keys")
        data = inner
    data[last] = _value(text)


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, dict) and value and all(inner is None for inner in value.values()):
        return text  # "{name}" is a template, though YAML reads it as keys without values
    return "" if value is None else value


def _clear_of(evaluation_data: str, assemble: dict[str, Any]) -> dict[str, Any]:
    """Assembly must drop what the model is measured on; the registry's gate asks for it."""
    sets = [*assemble.get("evaluation_sets", [])]
    return {**assemble, "evaluation_sets": sets + [evaluation_data] * (evaluation_data not in sets)}


def _raw(assemble: dict[str, Any]) -> dict[str, Any]:
    """All usable pairs: the same duplicates and evaluation sets, no rule about entities or text."""
    kept = ("duplicates", "evaluation_sets", "evaluation_bits", "validation_share", "seed")
    return {"require_entities": False, **{k: v for k, v in assemble.items() if k in kept}}
