"""What assembly decides by, and how training shards are cut."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from openmofi.config import Section
from openmofi.textregions.rule import TextRule


class DuplicateRule(Section):
    """What counts as the same picture. The earliest in the pool wins and takes all labels."""

    drop: bool = True  # false: duplicates stay, but never stand in both splits
    perceptual_bits: int | None = Field(4, ge=0, le=16)  # of 64 that may differ; null: exact only
    embedding_cosine: float | None = Field(None, gt=0, le=1)  # null: embeddings are not compared


class HeadRule(Section):
    """Bounds on a linear head's score of an image, over its recorded embedding.

    An image whose embedding failed has no score, which clears no bound: it is dropped too.
    """

    file: str  # a path or a store's URI, reachable where assembly runs; see labeling.heads
    output: str | int = 0  # name or number, of a head with several
    min: float | None = Field(None, allow_inf_nan=False)  # the bounds themselves are allowed
    max: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a head needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class RightsRule(Section):
    """What may be used, by what came with it. Neither field is in every crawl."""

    drop_no_ai: bool = True
    # Patterns with * and ?, in any case; null: any. A sample without a licence passes only where
    # "" is one of them.
    licences: tuple[str, ...] | None = None


class AssembleConfig(Section):
    """The decisions. Everything before assembly records scores and decides nothing."""

    require_entities: bool = True  # false: pairs without an entity stay, with no label
    # The scale of cosines is each encoder's own: read the cut off the card's histogram.
    min_score: float = Field(0.25, ge=-1, le=1)
    # A calibration's file (a path or a store's URI, reachable where assembly runs, in its pod too),
    # whose cut then stands for min_score.
    calibration: str = ""
    min_context_score: float | None = Field(None, ge=0, le=1)  # by the text alone; null: any
    rights: RightsRule = RightsRule()
    text: TextRule = TextRule()
    heads: Mapping[str, HeadRule] = Field({})  # by a name of your choice
    duplicates: DuplicateRule = DuplicateRule()
    evaluation_sets: tuple[str, ...] = ()  # in the layouts of evaluation, or lists of hashes
    evaluation_bits: int | None = Field(4, ge=0, le=16)  # as perceptual_bits, against those sets
    evaluation_cosine: float | None = Field(None, gt=0, le=1)  # as embedding_cosine, against them
    min_images_per_entity: int = Field(5, ge=1)
    max_images_per_entity: int | None = Field(None, ge=1)
    max_labels_per_image: int | None = Field(None, ge=1)
    validation_share: float = Field(0.05, ge=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _one_cut(self) -> Self:
        if self.calibration and "min_score" in self.model_fields_set:
            raise ValueError(
                f"calibration {self.calibration} gives the cut, and min_score {self.min_score} "
                "gives another; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _cap_is_possible(self) -> Self:
        cap = self.max_images_per_entity
        if cap is not None and cap < self.min_images_per_entity:
            raise ValueError(
                f"max_images_per_entity {cap} is below min_images_per_entity "
                f"{self.min_images_per_entity}"
            )
        if cap is not None and not self.require_entities:
            raise ValueError("max_images_per_entity needs require_entities: true")
        return self


class ShardsConfig(Section):
    """How training shards are cut. The order is a seeded shuffle over all kept samples."""

    samples_per_shard: int = Field(1000, ge=1)
    seed: int = 0
