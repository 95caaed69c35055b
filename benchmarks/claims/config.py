"""Sizes of the experiment: the crawl, the labeler, the steps of an arm, the seeds."""

from typing import Any

from pydantic import Field, field_validator

from openmofi.config import Section
from openmofi.dataset.config import AssembleConfig
from openmofi.evaluation.config import EvaluateConfig
from openmofi.labeling.config import LabelConfig
from openmofi.training.config import TrainConfig


class CrawlSection(Section):
    """The demo crawl to draw; see `openmofi.demo.crawl`."""

    domains: tuple[str, ...] = Field(min_length=1)
    pairs: int = Field(ge=2)
    labeler_pairs: int = Field(ge=2)
    seed: int = Field(ge=0)


class ClaimsConfig(Section):
    """One experiment.

    Attributes:
        crawl: What is drawn.
        labeler: The CLIP that labels, trained on the labeler's own crawl.
        label: How an entity is put into words for it.
        assemble: The rules of the labelled data set; text is not dropped there, as in MOFI.
        training: What all arms share. Objectives and seed are each arm's own.
        seeds: Of training. Every arm is trained once a seed.
        evaluate: Suites on the held-out images.
    """

    crawl: CrawlSection
    labeler: TrainConfig
    label: LabelConfig = LabelConfig()
    assemble: AssembleConfig = AssembleConfig()
    training: TrainConfig
    seeds: tuple[int, ...] = Field(min_length=2)
    evaluate: EvaluateConfig

    @field_validator("training")
    @classmethod
    def _shared(cls, value: TrainConfig) -> TrainConfig:
        own = value.model_fields_set & {"objectives", "seed"}
        if own:
            raise ValueError(f"{min(own)} is each arm's own; leave it out")
        return value

    @field_validator("assemble")
    @classmethod
    def _of_ours(cls, value: AssembleConfig) -> AssembleConfig:
        own = value.model_fields_set & {"text", "require_entities", "evaluation_sets"}
        if own:
            raise ValueError(f"{min(own)} follows from the arms; leave it out")
        return value

    def train(self, objectives: Any, seed: int) -> dict[str, Any]:
        """Plain values of one arm's `TrainConfig`."""
        shared = self.training.model_dump(mode="json", exclude_unset=True)
        return {**shared, "objectives": objectives, "seed": seed}
