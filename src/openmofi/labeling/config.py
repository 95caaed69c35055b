"""Options of image embedding and entity scoring."""

from collections.abc import Mapping
from string import Formatter
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from openmofi.config import Section, parse_config
from openmofi.workers import usable_cores

_FIELDS = {"name", "description"}


class EmbedConfig(Section):
    """How images are embedded.

    Args:
        batch_size: Images per forward pass; ``None``: 256 on a GPU, 64 elsewhere.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:1``.
        precision: ``auto`` (bfloat16 on a GPU, float32 elsewhere), ``float32`` or ``bfloat16``.
        compiled: Let torch.compile make kernels for the image tower first: minutes, once a run.
        decode_workers: Processes that decode; ``None``: one a core where a GPU encodes, half as
            many where the encoder needs the cores itself.
        scaled_decoding: Decode large JPEGs at a fraction of their size that is at least twice what
            the encoder takes.
    """

    batch_size: int | None = Field(None, gt=0)
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compiled: bool = False
    decode_workers: int | None = Field(None, gt=0)
    scaled_decoding: bool = True

    def semantic(self) -> dict[str, Any]:
        """Options that can change the result.

        The device's own precision is not among them, as the device is not: which rounding is good
        enough is what ``auto`` leaves open.
        """
        asked = {} if self.precision == "auto" else {"precision": self.precision}
        return {"scaled_decoding": self.scaled_decoding, **asked}

    def images_per_pass(self, device: str) -> int:
        """The batch size on a device."""
        return self.batch_size or (256 if device.startswith("cuda") else 64)

    def processes(self, device: str) -> int:
        """The decoding processes beside a device."""
        cores = usable_cores()
        return self.decode_workers or (cores if device.startswith("cuda") else max(1, cores // 2))


class MaskConfig(Section):
    """Which text regions are covered, and how the covered images are embedded.

    Pixels are read, and numbers rounded, as they were for the image embeddings.

    Args:
        min_confidence: Regions from this confidence are covered. Lower than assembly's, since what
            may be text should not speak for the alt text.
        min_area: Share of the image that a region has at least.
        max_area: And at most. ``None``: what fits how the regions were made, see
            `textregions.rule.TextRule`; what is framed without being text must stay in sight.
        batch_size: See `EmbedConfig`; of texts too.
        device: See `EmbedConfig`.
        compiled: See `EmbedConfig`.
        decode_workers: See `EmbedConfig`.
    """

    min_confidence: float = Field(0.3, ge=0, le=1)
    min_area: float = Field(0.0, ge=0, le=1)
    max_area: float | None = Field(None, gt=0, le=1)
    batch_size: int | None = Field(None, gt=0)
    device: str = "auto"
    compiled: bool = False
    decode_workers: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_area is not None and self.min_area > self.max_area:
            raise ValueError(f"min_area {self.min_area} is above max_area {self.max_area}")
        return self

    def semantic(self) -> dict[str, Any]:
        """Options that can change the result."""
        return self.model_dump(include={"min_confidence", "min_area", "max_area"})

    def embedding(self, recorded: Mapping[str, Any]) -> EmbedConfig:
        """How covered images are embedded, beside embeddings of the ``recorded`` config."""
        speed = self.model_dump(include={"batch_size", "device", "compiled", "decode_workers"})
        return parse_config(EmbedConfig, {**recorded, **speed}, where="image_embeddings' config")


class LabelConfig(Section):
    """How entities are put into words and scored.

    Args:
        template: An entity's text, of ``{name}`` and ``{description}``.
        name_template: The text of an entity without a description, of ``{name}``.
        image_weight: What a cosine of 1 counts, in log-odds, when homonyms settle; ``None`` takes
            the model's logit scale, 0 asks the text alone.
        entities: Whose texts are encoded: ``mentioned``: those that the mentions name, by the step
            that scores; ``all``: all of the knowledge base's, once ahead of it, as is right where
            many pods score.
        batch_size: Texts per forward pass.
        device: See `EmbedConfig`.
    """

    template: str = "{name}, {description}"
    name_template: str = "{name}"
    image_weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    entities: Literal["mentioned", "all"] = "mentioned"
    batch_size: int = Field(64, gt=0)
    device: str = "auto"

    @field_validator("template")
    @classmethod
    def _check_template(cls, value: str) -> str:
        return _checked(value, _FIELDS)

    @field_validator("name_template")
    @classmethod
    def _check_name_template(cls, value: str) -> str:
        return _checked(value, {"name"})

    def semantic(self) -> dict[str, Any]:
        """Options that can change the result."""
        return {
            "template": self.template,
            "name_template": self.name_template,
            "image_weight": self.image_weight,
        }

    def text_of(self, name: str, description: str) -> str:
        """The text that stands for an entity."""
        if description or "{description}" not in self.template:
            return self.template.format(name=name, description=description)
        return self.name_template.format(name=name)


def _checked(template: str, known: set[str]) -> str:
    """A template whose fields are known, bare, and hold the name."""
    fields = [(field, spec, turn) for _, field, spec, turn in Formatter().parse(template)]
    used = {field for field, _, _ in fields if field is not None}
    if used - known or "name" not in used or any(spec or turn for _, spec, turn in fields):
        listed = " and ".join(f"{{{field}}}" for field in sorted(known, reverse=True))
        raise ValueError(f"the template must hold {{name}}, and of fields only {listed}")
    return template
