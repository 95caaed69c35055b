"""What a user may set for the training of a small recognizer."""

from typing import Self

from pydantic import Field, model_validator

from openmofi.config import Section


class RecognizerTrainingConfig(Section):
    """Generated texts, the model's size, and its training. The defaults take minutes on a CPU."""

    sentences: int = Field(100_000, ge=10)
    seed: int = Field(0, ge=0)
    # Of the surface forms: never in a training text, only measured on.
    held_out: float = Field(0.1, gt=0, lt=1)
    vocabulary_size: int = Field(6_000, ge=300)
    hidden_size: int = Field(160, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    steps: int = Field(4_000, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(1e-3, gt=0)

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(
                f"hidden_size must be a multiple of heads, got {self.hidden_size} and {self.heads}"
            )
        return self
