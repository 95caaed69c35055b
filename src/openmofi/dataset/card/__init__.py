"""The data card: one HTML page that says what a data set is and how it came to be."""

from openmofi.dataset.card.build import write_card

__all__ = ["write_card"]
