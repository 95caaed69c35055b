"""Kinds that differ in a few traits, as near siblings do."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

MIN_DIFFERENCES = 2  # traits in which any two siblings differ; one alone may be hidden in a picture


def sibling_traits(
    levels: Mapping[str, Sequence[float]], count: int, rng: np.random.Generator
) -> list[dict[str, float]]:
    """Draw ``count`` settings of the traits, any two of which differ in `MIN_DIFFERENCES`.

    Args:
        levels: The settings that each trait may have.
        count: Settings to draw.
        rng: Draws them.

    Raises:
        ValueError: The levels don't give so many.
    """
    codes = list(itertools.product(*levels.values()))
    chosen: list[tuple[float, ...]] = []
    for place in rng.permutation(len(codes)):
        code = codes[int(place)]
        if all(_differences(code, other) >= MIN_DIFFERENCES for other in chosen):
            chosen.append(code)
        if len(chosen) == count:
            return [dict(zip(levels, code, strict=True)) for code in chosen]
    raise ValueError(f"the traits {list(levels)} give {len(chosen)} siblings, wanted {count}")


def _differences(one: Sequence[float], other: Sequence[float]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))
