"""Configuration of one training run."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from openmofi.config import Section

# Shares of the multi-task loss: λ · supervised + (1 - λ) · contrastive. MOFI's λ is not published
# with certainty; 0.1 is the starting point that fits the two losses' sizes (their values at the
# start are near ln(classes) + margin · scale and ln(batch)).
MULTITASK_LAMBDA = 0.1

RECIPES: dict[str, list[dict[str, Any]]] = {
    "clip": [{"kind": "clip"}],
    "supervised": [{"kind": "supervised"}],
    "contrastive": [{"kind": "contrastive"}],
    "multitask": [
        {"kind": "supervised", "weight": MULTITASK_LAMBDA},
        {"kind": "contrastive", "weight": 1 - MULTITASK_LAMBDA},
    ],
}

Weight = Annotated[float, Field(gt=0)]

_NO_RESULT = {
    "backbone",
    "initial_model",
    "activation_checkpointing",
    "stream_shards",
    "workers",
    "image_cache_mb",
    "checkpoint_every",
    "log_every",
}


class TextMix(Section):
    """How often each kind of text stands for a sample, as relative weights.

    MOFI draws one kind a sample; its probabilities are not published, so the default is uniform.
    A sample without an entity always takes its alt text.
    """

    alt_text: float = Field(1.0, ge=0)
    name: float = Field(1.0, ge=0)
    name_and_description: float = Field(1.0, ge=0)

    @field_validator("name_and_description")
    @classmethod
    def _some_weight(cls, value: float, info: ValidationInfo) -> float:
        if value + info.data.get("alt_text", 0) + info.data.get("name", 0) <= 0:
            raise ValueError("one of alt_text, name, name_and_description must be above 0")
        return value


class ClipConfig(Section):
    """InfoNCE between images and alt texts."""

    kind: Literal["clip"] = "clip"
    weight: Weight = 1.0
    chunk: int | None = Field(None, ge=1)  # rows of the logits at once; null: all of a rank's


class SupervisedConfig(Section):
    """Sampled margin softmax over the vocabulary's entities."""

    kind: Literal["supervised"] = "supervised"
    weight: Weight = 1.0
    # An image's label for this pass: one of its entities, drawn anew each epoch, or all of them in
    # equal shares. MOFI does not say which.
    labels: Literal["drawn", "soft"] = "drawn"
    # Share of the classes in a step; MOFI: 512 K of 2 M.
    sample_rate: float = Field(0.25, gt=0, le=1)
    # Frequent entities come more often as negatives, and count less for it.
    negatives: Literal["uniform", "frequency"] = "uniform"
    margin: float = Field(0.15, ge=0, lt=1)  # CosFace's, in cosine
    angular_margin: float = Field(0.0, ge=0, lt=1.5)  # ArcFace's, in radians
    chunk: int = Field(1024, ge=1)  # classes at once; more never stand whole in memory
    scale: float = Field(32.0, gt=0)  # inverse temperature
    learning_rate_factor: float = Field(1.0, gt=0)  # of the class rows, against the backbone's
    # Where the class rows' moments lie, which cannot change the result: with the rows (device), in
    # the CPU's memory (cpu), or in memory-mapped files in a folder of a local disk.
    class_state: str = "device"


class ContrastiveConfig(Section):
    """InfoNCE between images and a mix of texts, same-entity negatives masked."""

    kind: Literal["contrastive"] = "contrastive"
    weight: Weight = 1.0
    text_mix: TextMix = TextMix()
    chunk: int | None = Field(None, ge=1)  # rows of the logits at once; null: all of a rank's


ObjectiveConfig = Annotated[
    ClipConfig | SupervisedConfig | ContrastiveConfig, Field(discriminator="kind")
]


class AugmentationConfig(Section):
    """Random resized crop; flips are off, because flags and text are not mirror-symmetric."""

    crop_area: tuple[float, float] = (0.5, 1.0)  # share of the image's area, from … to
    crop_aspect: tuple[float, float] = (0.75, 4 / 3)  # width / height of the crop, from … to
    flip: bool = False

    @field_validator("crop_area", "crop_aspect")
    @classmethod
    def _ascending(cls, value: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        low, high = value
        if not 0 < low <= high or (info.field_name == "crop_area" and high > 1):
            raise ValueError("needs two ascending numbers above 0 (an area is at most 1)")
        return value


class TrainConfig(Section):
    """One training run. All recipes run for ``max_steps``, however large the data are."""

    backbone: str = "tiny"  # bundled name, open_clip name, or path of an open_clip JSON config
    # A recipe's name (clip, supervised, contrastive, multitask) or a list of objectives.
    objectives: tuple[ObjectiveConfig, ...] = Field("multitask", validate_default=True)
    max_steps: int = Field(300, ge=1)
    batch_size: int = Field(128, ge=1)  # samples in one forward pass; InfoNCE's negatives
    accumulate: int = Field(1, ge=1)  # forward passes a step
    learning_rate: float = Field(1e-3, gt=0)  # the peak; cosine to zero at max_steps
    warmup_steps: int = Field(30, ge=0)
    weight_decay: float = Field(0.1, ge=0)  # of weight matrices; not of class rows, norms, biases
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float | None = Field(1.0, gt=0)  # of backbone and class rows together
    seed: int = Field(0, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    compiled: bool = False  # torch.compile of the towers
    # URI of a model manifest, or a model folder, whose weights and class rows the run begins with.
    initial_model: str = ""
    # Exponential moving average of the backbone, which is then what is published; null: none.
    ema_decay: float | None = Field(None, gt=0, lt=1)
    augmentation: AugmentationConfig = AugmentationConfig()
    # 0: images come equally often; 1: entities do.
    entity_balance: float = Field(0.0, ge=0, le=1)
    window_shards: int = Field(16, ge=1)  # shards that are shuffled together
    # What follows cannot change the result.
    activation_checkpointing: bool = False  # activations made again: less memory, a third more time
    # Fetch shards when the run comes to them, and keep few: for data that no disk here holds.
    stream_shards: bool = False
    workers: int = Field(0, ge=0)  # processes that decode; 0: the training process does it
    image_cache_mb: int = Field(256, ge=0)  # decoded images kept in memory, a process
    checkpoint_every: int = Field(100, ge=1)  # steps
    log_every: int = Field(10, ge=1)  # steps between two points of a metric

    @field_validator("objectives", mode="before")
    @classmethod
    def _recipe(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in RECIPES:
            raise ValueError(f"unknown recipe; one of {', '.join(RECIPES)}, or a list")
        return RECIPES[value]

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, value: tuple[ObjectiveConfig, ...]) -> tuple[ObjectiveConfig, ...]:
        kinds = [objective.kind for objective in value]
        if not kinds or len(set(kinds)) < len(kinds):
            raise ValueError("needs at least one objective, and each kind once")
        return value

    @field_validator("batch_size")
    @classmethod
    def _pairs(cls, value: int, info: ValidationInfo) -> int:
        kinds = [objective.kind for objective in info.data.get("objectives", ())]
        if value < 2 and any(kind in ("clip", "contrastive") for kind in kinds):
            raise ValueError("InfoNCE needs a batch of at least 2, so that there is a negative")
        return value

    def semantic(self) -> dict[str, Any]:
        """What can change the result, as plain values.

        Backbone and initial model count by their content, which is not known here.
        """
        values = self.model_dump(mode="json", exclude=_NO_RESULT)
        for objective in values["objectives"]:
            objective.pop("class_state", None)
        return values
