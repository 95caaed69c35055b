"""What a colour histogram, and what the drawing itself, can tell of drawn pictures."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.demo.domain import Domain
from openmofi.demo.scenes import finish

SIZE = (88, 80)
Floats = npt.NDArray[np.floating[Any]]


def histogram(picture: Any) -> Floats:
    """Shares of 5 x 5 x 5 colours."""
    levels = np.asarray(picture).reshape(-1, 3).astype(int) * 5 // 256
    counts = np.bincount(levels @ [25, 5, 1], minlength=125)
    return counts / counts.sum()


def histogram_accuracy(domain: Domain, entities: Sequence[str], *, known: int, asked: int) -> float:
    """Share of pictures whose nearest known picture by histogram shows the same entity."""
    first = [
        histogram(domain.render(entity, np.random.default_rng([1, number, i]), SIZE))
        for number, entity in enumerate(entities)
        for i in range(known)
    ]
    hits = 0
    for number, entity in enumerate(entities):
        for i in range(asked):
            picture = domain.render(entity, np.random.default_rng([2, number, i]), SIZE)
            distances = np.abs(np.array(first) - histogram(picture)).sum(1)
            hits += int(distances.argmin() // known == number)
    return hits / (asked * len(entities))


def parameter_accuracy(
    compose: Callable[[str, np.random.Generator], Floats], entities: Sequence[str], *, asked: int
) -> float:
    """Share of pictures that are told by drawing every candidate into the same scene.

    The scene is known; what hides parts, the light, blur and noise are not. Pictures are compared
    in small, after brightness and contrast of each colour.
    """
    hits = 0
    for number, entity in enumerate(entities):
        for i in range(asked):
            scene, light = [3, number, i], np.random.default_rng([4, number, i])
            seen = _small(finish(light, compose(entity, np.random.default_rng(scene)), SIZE))
            distances = [
                np.abs(seen - _small(_plain(compose(other, np.random.default_rng(scene))))).mean()
                for other in entities
            ]
            hits += int(np.argmin(distances) == number)
    return hits / (asked * len(entities))


def _plain(scene: Floats) -> Floats:
    """A scene without light or lens, in the size of the picture."""
    height, width = scene.shape[0] // 2, scene.shape[1] // 2
    return np.clip(scene, 0, 255).reshape(height, 2, width, 2, 3).mean((1, 3))


def _small(picture: Any) -> Floats:
    pixels = np.asarray(picture, dtype=float)
    pixels = pixels.reshape(40, 2, 44, 2, 3).mean((1, 3))
    mean, spread = pixels.mean((0, 1)), pixels.std((0, 1)) + 1e-6
    scaled: Floats = (pixels - mean) / spread
    return scaled
