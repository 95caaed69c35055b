"""Options of the registry's gate."""

from typing import Literal

from pydantic import Field

from openmofi.config import Section


class RegisterConfig(Section):
    """What a model must achieve to be promoted, and what is registered with it.

    Attributes:
        metric: Name of the metric that decides, as evaluation calls it.
        floor: In percent. No model below it is promoted; for a first model it is the only bar.
        max_regression: In percentage points. A model passes if the paired interval against the
            champion rules out a larger loss: its lower end must not lie below ``-max_regression``.
        promote: ``at_once`` makes a model that passes the champion; ``candidate_only`` stops at
            the alias ``candidate``, for a person to decide.
        foreign_start: What becomes of a model whose training began with weights from elsewhere,
            whose own training data nobody has checked: ``refuse``, or ``allow``.
        gallery_images: At most as many images of its training data go with the model, embedded by
            it, for it to answer with neighbours; 0: none.
    """

    metric: str = "retrieval/map"
    floor: float = Field(20.0, ge=0, le=100)
    max_regression: float = Field(2.0, ge=0, le=100)
    promote: Literal["at_once", "candidate_only"] = "at_once"
    foreign_start: Literal["refuse", "allow"] = "refuse"
    gallery_images: int = Field(5000, ge=0, le=200_000)
