"""What a run optimises: each objective turns one forward pass's image features into a loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from openmofi.losses.class_sampling import choose_classes, frequency_inclusion
from openmofi.losses.contrastive import contrastive_loss
from openmofi.losses.margin_softmax import margin_softmax
from openmofi.losses.margins import Margin
from openmofi.losses.ranks import gather_ragged, gather_rows
from openmofi.training.class_head import ClassHead, class_block
from openmofi.training.config import (
    ClipConfig,
    ContrastiveConfig,
    ObjectiveConfig,
    SupervisedConfig,
)
from openmofi.training.data import Batch
from openmofi.training.texts import ALT_TEXT_ONLY


class Objective(Protocol):
    """One loss of a run."""

    @property
    def name(self) -> str:
        """Its name in the logs."""

    @property
    def weight(self) -> float:
        """In the sum of losses."""

    @property
    def text_mix(self) -> Mapping[str, float] | None:
        """Weights of the kinds of text that it asks for; None: it takes no text."""

    @property
    def head(self) -> ClassHead | None:
        """Its class rows, if it has any."""

    @property
    def classes(self) -> int:
        """Classes of all ranks' heads; 0 without a head."""

    @property
    def learning_rate_factor(self) -> float:
        """Of the head, against the backbone's rate."""

    def loss(self, images: Tensor, batch: Batch, backbone: Any) -> Tensor:
        """A scalar.

        Args:
            images: Unit vectors [B, d] of the batch's images.
            batch: The labels and texts.
            backbone: An open_clip model, for the texts.
        """


class TextObjective:
    """InfoNCE between images and texts.

    Args:
        name: ``clip`` or ``contrastive``.
        config: Its section.
        text_mix: Weights of the kinds of text.
        mask_same_entity: Samples that drew the same entity are not negatives of each other.
    """

    head = None
    classes = 0
    learning_rate_factor = 1.0

    def __init__(
        self,
        name: str,
        config: ClipConfig | ContrastiveConfig,
        text_mix: Mapping[str, float],
        *,
        mask_same_entity: bool,
    ) -> None:
        self.name = name
        self.weight = config.weight
        self.text_mix = text_mix
        self._chunk = config.chunk
        self._mask = mask_same_entity

    def loss(self, images: Tensor, batch: Batch, backbone: Any) -> Tensor:
        """See `Objective`."""
        texts = functional.normalize(backbone.encode_text(batch.tokens[self.name]).float(), dim=-1)
        groups = batch.labels if self._mask else None
        return contrastive_loss(images, texts, backbone.logit_scale, groups, chunk=self._chunk)


class SupervisedObjective:
    """Sampled margin softmax over entities.

    Args:
        config: Its section.
        head: This rank's class rows.
        classes: In all.
        inclusion: Of `frequency_inclusion`; None: negatives are uniform.
    """

    name = "supervised"
    text_mix = None

    def __init__(
        self,
        config: SupervisedConfig,
        head: ClassHead,
        *,
        classes: int,
        inclusion: Tensor | None = None,
    ) -> None:
        self.weight = config.weight
        self.head = head
        self.learning_rate_factor = config.learning_rate_factor
        self._config = config
        self.classes = classes
        self._inclusion = inclusion
        self._margin = Margin(cosine=config.margin, angle=config.angular_margin)

    def loss(self, images: Tensor, batch: Batch, backbone: Any) -> Tensor:
        """See `Objective`. The same on every rank: of all ranks' images and class rows."""
        soft = self._config.labels == "soft"
        labels = gather_ragged(batch.label_sets) if soft else gather_rows(batch.labels)
        generator = torch.Generator().manual_seed(batch.seed)
        sample = choose_classes(
            labels, self.classes, self._config.sample_rate, generator, self._inclusion
        ).within(self.head.block, labels)
        return margin_softmax(
            images,
            self.head.take(sample.classes),
            sample.targets,
            margin=self._margin,
            scale=self._config.scale,
            chunk=self._config.chunk,
            offsets=sample.offsets,
            labels=labels,
        )


@dataclass(frozen=True)
class HeadPlan:
    """What class rows depend on.

    Args:
        counts: Training images of each class, int64 [classes].
        dim: Width of the embeddings.
        seed: Of the initial rows.
        betas: Adam's.
        rank: Of this process.
        world_size: Processes that share the classes.
    """

    counts: Tensor
    dim: int
    seed: int
    betas: tuple[float, float]
    rank: int = 0
    world_size: int = 1


def build_objectives(configs: Sequence[ObjectiveConfig], plan: HeadPlan) -> list[Objective]:
    """Objectives with their heads.

    Raises:
        InputError: The folder for the heads' state is not there.
    """
    built: list[Objective] = []
    for config in configs:
        if isinstance(config, ClipConfig):
            built.append(TextObjective("clip", config, ALT_TEXT_ONLY, mask_same_entity=False))
        elif isinstance(config, ContrastiveConfig):
            mix = config.text_mix.model_dump()
            built.append(TextObjective("contrastive", config, mix, mask_same_entity=True))
        elif isinstance(config, SupervisedConfig):
            built.append(_supervised(config, plan))
    return built


def _supervised(config: SupervisedConfig, plan: HeadPlan) -> SupervisedObjective:
    classes = len(plan.counts)
    block = class_block(classes, plan.rank, plan.world_size)
    head = ClassHead(block, plan.dim, seed=plan.seed, betas=plan.betas, state=config.class_state)
    inclusion = None
    if config.negatives == "frequency":
        inclusion = frequency_inclusion(plan.counts, config.sample_rate)
    return SupervisedObjective(config, head, classes=classes, inclusion=inclusion)
