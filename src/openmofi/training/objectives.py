"""What a run optimises: each objective turns one forward pass's image features into a loss."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from openmofi.errors import InputError
from openmofi.losses.contrastive import contrastive_loss
from openmofi.losses.margins import Margin
from openmofi.losses.sampled_margin_softmax import choose_classes, margin_softmax
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
        weight: In the sum of losses.
        text_mix: Weights of the kinds of text.
        mask_same_entity: Samples that drew the same entity are not negatives of each other.
    """

    head = None
    learning_rate_factor = 1.0

    def __init__(
        self, name: str, weight: float, text_mix: Mapping[str, float], *, mask_same_entity: bool
    ) -> None:
        self.name = name
        self.weight = weight
        self.text_mix = text_mix
        self._mask = mask_same_entity

    def loss(self, images: Tensor, batch: Batch, backbone: Any) -> Tensor:
        """See `Objective`."""
        texts = backbone.encode_text(batch.tokens[self.name], normalize=True)
        groups = batch.labels if self._mask else None
        return contrastive_loss(images, texts, backbone.logit_scale, groups)


class SupervisedObjective:
    """Sampled margin softmax over entities.

    Args:
        weight: In the sum of losses.
        head: The class rows. One process holds them all.
        sample_rate: Share of the classes in a pass.
        margin: CosFace's, in cosine.
        angular_margin: ArcFace's, in radians.
        chunk: Classes at once.
        scale: Inverse temperature.
        learning_rate_factor: Of the class rows, against the backbone's rate.
    """

    name = "supervised"
    text_mix = None

    def __init__(
        self,
        weight: float,
        head: ClassHead,
        *,
        sample_rate: float,
        margin: float,
        angular_margin: float,
        chunk: int,
        scale: float,
        learning_rate_factor: float,
    ) -> None:
        self.weight = weight
        self.head = head
        self.learning_rate_factor = learning_rate_factor
        self._sample_rate = sample_rate
        self._margin = Margin(cosine=margin, angle=angular_margin)
        self._chunk = chunk
        self._scale = scale

    def loss(self, images: Tensor, batch: Batch, backbone: Any) -> Tensor:
        """See `Objective`."""
        generator = torch.Generator().manual_seed(batch.seed)
        sample = choose_classes(batch.labels, len(self.head.block), self._sample_rate, generator)
        rows = self.head.take(sample.classes)
        return margin_softmax(
            images,
            rows,
            sample.targets,
            margin=self._margin,
            scale=self._scale,
            chunk=self._chunk,
        )


def build_objectives(
    configs: Sequence[ObjectiveConfig],
    *,
    classes: int,
    dim: int,
    seed: int,
    betas: tuple[float, float],
    world_size: int = 1,
) -> list[Objective]:
    """Objectives with their heads.

    Raises:
        InputError: A supervised objective on several ranks: its rows are not sharded yet.
    """
    built: list[Objective] = []
    for config in configs:
        if isinstance(config, ClipConfig):
            built.append(
                TextObjective("clip", config.weight, ALT_TEXT_ONLY, mask_same_entity=False)
            )
        elif isinstance(config, ContrastiveConfig):
            mix = config.text_mix.model_dump()
            built.append(TextObjective("contrastive", config.weight, mix, mask_same_entity=True))
        elif isinstance(config, SupervisedConfig):
            if world_size > 1:
                raise InputError(
                    f"train: the supervised objective runs in one process, not in {world_size}: "
                    "its class rows are not sharded over ranks in this release"
                )
            head = ClassHead(class_block(classes, 0, 1), dim, seed=seed, betas=betas)
            options = config.model_dump(exclude={"kind"})
            built.append(SupervisedObjective(head=head, **options))
    return built
