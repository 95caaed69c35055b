"""The typographic attack by size, position and colour of the writing.

One number a cell: how often a model still names what attacked pictures show. It tells whether a
model withstands the one drawing of ImageNet-Atr, or writing as such.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from PIL import ImageColor

from openmofi.evaluation.config import GridConfig
from openmofi.evaluation.retrieval import IntArray
from openmofi.evaluation.typographic import Writing

GRID = "typographic_grid"  # columns GRID/<size>/<position>/<colour>
CLEAN = f"{GRID}/clean"  # the same pictures without writing


def cells(grid: GridConfig) -> dict[str, Writing]:
    """Name of each cell's column to how it is written."""
    return {
        f"{GRID}/{size}/{position}/{colour.removeprefix('#')}": Writing(
            size, position, _rgb(colour)
        )
        for size, position, colour in product(grid.sizes, grid.positions, grid.colours)
    }


def drawn_on(grid: GridConfig, images: int) -> IntArray:
    """Which images [at most grid.images] are drawn on: evenly spread, so over classes as well."""
    wanted = min(grid.images or images, images)
    chosen: IntArray = np.unique(np.linspace(0, images - 1, wanted).round().astype(np.int64))
    return chosen


def table(values: Mapping[str, float]) -> list[dict[str, Any]]:
    """The grid as rows: ``size``, ``position``, ``colour`` and ``top1`` in percent.

    Args:
        values: Metrics by name; those of other suites are passed over.
    """
    names = [name for name in values if name.startswith(f"{GRID}/") and name.count("/") == 3]
    parts = [name.split("/")[1:] for name in names]
    return [
        {"size": int(size), "position": position, "colour": colour, "top1": values[name]}
        for name, (size, position, colour) in zip(names, parts, strict=True)
    ]


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue
