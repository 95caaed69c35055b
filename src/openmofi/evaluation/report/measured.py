"""One model's part of an evaluation, as the report takes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from openmofi.evaluation.bootstrap import Interval
from openmofi.evaluation.embedders import Embedder
from openmofi.evaluation.suites import Scores


@dataclass(frozen=True)
class Measured:
    """What one model scored.

    Attributes:
        role: ``candidate``, ``baseline`` or ``colour_histogram``.
        embedder: The model.
        scores: Of every query.
        intervals: Each metric in percent.
    """

    role: str
    embedder: Embedder
    scores: Scores
    intervals: Mapping[str, Interval]

    @property
    def says(self) -> str:
        """The role for people."""
        return self.role.replace("_", " ")
