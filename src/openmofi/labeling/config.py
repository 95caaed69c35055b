"""Options of image embedding and entity scoring."""

from string import Formatter
from typing import Any

from pydantic import Field, field_validator

from openmofi.config import Section

_FIELDS = {"name", "description"}


class EmbedConfig(Section):
    """How images are embedded. Nothing here can change the result.

    Args:
        batch_size: Images per forward pass.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:1``.
        decode_threads: Threads that decode images ahead of the encoder.
    """

    batch_size: int = Field(64, gt=0)
    device: str = "auto"
    decode_threads: int = Field(4, gt=0)

    def semantic(self) -> dict[str, Any]:
        """Options that can change the result."""
        return {}


class LabelConfig(Section):
    """How entities are put into words and scored.

    Args:
        template: An entity's text, of ``{name}`` and ``{description}``.
        name_template: The text of an entity without a description, of ``{name}``.
        image_weight: What a cosine of 1 counts, in log-odds, when homonyms settle; ``None`` takes
            the model's logit scale, 0 asks the text alone.
        batch_size: Texts per forward pass.
        device: See `EmbedConfig`.
    """

    template: str = "{name}, {description}"
    name_template: str = "{name}"
    image_weight: float | None = Field(None, ge=0, allow_inf_nan=False)
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
