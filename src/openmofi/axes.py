"""The frame of a plot, as SVG: levels with their labels, the two axes, a title at the top."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Axes:
    """Where a plot stands in its picture, in pixels.

    Attributes:
        left: Of the plot.
        top: Of the plot.
        wide: The plot's width.
        high: The plot's height.
        height: The whole picture's.
    """

    left: float
    top: float
    wide: float
    high: float
    height: float

    def title(self, text: str) -> str:
        """What the plot shows, above it."""
        return f'<text class="head" x="4" y="16">{escape(text)}</text>'

    def level(self, at: float, label: str, kind: str = "soft") -> str:
        """A line across at height ``at``, with its label left of it in class ``kind``."""
        return (
            f'<path class="grid" d="M{self.left} {at:.1f}h{self.wide}"/><text class="{kind}" '
            f'x="{self.left - 7}" y="{at + 4.5:.1f}" text-anchor="end">{label}</text>'
        )

    def lines(self, below: str) -> str:
        """Both axes, and what the lower one counts."""
        return (
            f'<path class="axis" d="M{self.left} {self.top}v{self.high}h{self.wide}"/>'
            f'<text x="{self.left + self.wide / 2}" y="{self.height - 8}" text-anchor="middle">'
            f"{escape(below)}</text>"
        )
