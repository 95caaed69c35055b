"""Options of evaluation: which suites, which prompts, how the attack is drawn."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from openmofi.config import Section

Suite = Literal["retrieval", "zero_shot", "typographic"]


def _one_gap(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("a template holds {} once, where the class name goes")
    return template


class EvaluateConfig(Section):
    """What is measured and how.

    Attributes:
        suites: What to run; ``zero_shot`` and ``typographic`` need a model that reads text.
        templates: Prompts; each holds ``{}`` once. A class is the mean over all of them.
        confusions: Class name to the class name written on its pictures. A class without an
            entry gets its nearest neighbour by name.
        target_model: URI of a model manifest whose text embeddings choose that neighbour
            (ImageNet-Atr's rule). Empty: character trigrams of the names, which need no model, so
            that pictures stay the same when models change.
        font: Path of a TrueType font to write with. Empty: Pillow's own, with accents left out,
            since it has none.
        bootstrap_samples: Resamples behind every interval.
        confidence: Share of resamples inside an interval, 0 to 1.
        seed: Of the resamples.
        batch_size: Images a forward pass. Does not change results.
        device: ``cpu`` or ``cuda``. Does not belong to the recipe.
    """

    suites: tuple[Suite, ...] = Field(("retrieval", "zero_shot", "typographic"), min_length=1)
    templates: tuple[Annotated[str, AfterValidator(_one_gap)], ...] = Field(
        ("{}", "a photo of {}."), min_length=1
    )
    confusions: dict[str, str] = Field(default_factory=dict)
    target_model: str = ""
    font: str = ""
    bootstrap_samples: int = Field(1000, ge=100, le=100_000)
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0
    batch_size: int = Field(64, ge=1)
    device: str = "cpu"

    def semantic(self) -> dict[str, Any]:
        """The options that can change a result. Paths and URIs enter by digest, elsewhere."""
        return self.model_dump(
            mode="json", exclude={"batch_size", "device", "target_model", "font"}
        )
