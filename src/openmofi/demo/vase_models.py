"""Vases of invented makers: a maker has a form, glazes and a decor; models vary the form.

The models of a maker share all colours and the decor, and glazes and forms each serve several
makers: colour alone tells neither model nor maker, outline alone no maker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openmofi.demo.traits import sibling_traits

# Body, second glaze, accent.
GLAZES = (
    ("#a9c4ae", "#557a68", "#ece7d2"), ("#eeece6", "#2b4f9e", "#c8a24a"),
    ("#b5643c", "#2a211d", "#e3c9a0"), ("#8c2a2b", "#d9b48a", "#1e1a1a"),
    ("#3a6f8f", "#d5d0bd", "#1d2a38"), ("#d8b04c", "#5e4a2a", "#f3ead0"),
)  # fmt: skip

# Outlines: heights from 0 to 1, and the radii there in heights of the vase.
FORMS: dict[str, tuple[tuple[float, float], ...]] = {
    "bottle": ((0, 0.22), (0.1, 0.27), (0.38, 0.28), (0.55, 0.15), (0.68, 0.08), (1, 0.08)),
    "baluster": ((0, 0.16), (0.12, 0.15), (0.5, 0.27), (0.75, 0.31), (0.88, 0.17), (1, 0.18)),
    "amphora": ((0, 0.11), (0.08, 0.09), (0.35, 0.22), (0.62, 0.32), (0.8, 0.2), (1, 0.13)),
    "cylinder": ((0, 0.24), (0.05, 0.25), (0.5, 0.235), (0.95, 0.25), (1, 0.25)),
    "trumpet": ((0, 0.2), (0.1, 0.12), (0.5, 0.12), (0.8, 0.21), (1, 0.38)),
    "bowl": ((0, 0.2), (0.1, 0.16), (0.35, 0.38), (0.75, 0.5), (1, 0.5)),
    "gourd": ((0, 0.18), (0.25, 0.33), (0.5, 0.15), (0.7, 0.23), (0.88, 0.12), (1, 0.12)),
    "tulip": ((0, 0.18), (0.1, 0.13), (0.45, 0.3), (0.78, 0.2), (1, 0.3)),
    "globe": ((0, 0.18), (0.12, 0.25), (0.45, 0.43), (0.75, 0.26), (0.86, 0.12), (1, 0.13)),
    "teardrop": ((0, 0.2), (0.25, 0.34), (0.6, 0.17), (0.85, 0.08), (1, 0.07)),
    "jar": ((0, 0.22), (0.3, 0.33), (0.65, 0.36), (0.86, 0.2), (0.92, 0.2), (1, 0.23)),
    "stepped": ((0, 0.32), (0.3, 0.32), (0.33, 0.22), (0.62, 0.22), (0.65, 0.13), (1, 0.13)),
}

DECORS = ("rings", "flutes", "checks", "zigzag", "dots", "dipped", "spiral", "petals")

# What tells the models of a maker apart.
TRAITS: dict[str, tuple[float, ...]] = {
    "girth": (0.72, 1.0, 1.34),  # times the radius
    "belly": (0.6, 1.0, 1.6),  # power of the height: a low belly, the form's own, a high one
    "neck": (0, 1),  # a neck on top
    "lip": (0, 1),  # a lip that turns outwards
    "foot": (0, 1),  # a stem and a foot below
}
_NECK, _FOOT = 0.26, 0.2  # of the height
LEVELS = 97  # at which an outline is known

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Maker:
    """What the models of a maker share.

    Args:
        name: Of the maker.
        form: A key of `FORMS`.
        decor: One of `DECORS`.
        glazes: Index into `GLAZES`.
        count: How often the decor repeats around the vase.
        rows: How often it repeats from bottom to top.
        gloss: From 0, matt, to 1.
    """

    name: str
    form: str
    decor: str
    glazes: int
    count: int
    rows: int
    gloss: float


@dataclass(frozen=True)
class Model:
    """One model; ``traits`` has a setting for each of `TRAITS`."""

    maker: Maker
    name: str
    traits: Mapping[str, float]

    def outline(self) -> Curve:
        """Radii in heights of the vase at `LEVELS` heights, evenly from 0 to 1."""
        heights, radii = np.array(FORMS[self.maker.form], float).T
        level = np.linspace(0, 1, LEVELS)
        bottom = _FOOT if self.traits["foot"] else 0.0
        top = 1 - _NECK if self.traits["neck"] else 1.0
        within = np.clip((level - bottom) / (top - bottom), 0, 1) ** self.traits["belly"]
        radius = np.interp(within, heights, radii) * self.traits["girth"]
        if self.traits["neck"]:
            radius = np.where(level > top, min(0.09, 0.8 * radius[-1]), radius)
        if self.traits["foot"]:
            stem = 0.07 + 0.13 * np.clip(1 - level / 0.09, 0, 1)
            radius = np.where(level < bottom, stem, radius)
        radius = _smooth(radius)
        if self.traits["lip"]:
            radius = radius + 0.1 * np.clip((level - 0.9) / 0.1, 0, 1) ** 2
        return radius


def make_models(makers: Mapping[str, Sequence[str]], seed: int) -> list[Model]:
    """Invent the models of all makers.

    Args:
        makers: Their names, and the names of their models.
        seed: Of this world; the same for every crawl.
    """
    models: list[Model] = []
    for number, (name, names) in enumerate(makers.items()):
        rng = np.random.default_rng([seed, number])
        turn = number // len(FORMS)
        maker = Maker(
            name=name,
            form=list(FORMS)[number % len(FORMS)],
            decor=DECORS[(number + 3 * turn) % len(DECORS)],
            glazes=(number + 2 * turn) % len(GLAZES),
            count=int(rng.integers(7, 12)),
            rows=int(rng.integers(4, 7)),
            gloss=float(rng.uniform(0, 1)),
        )
        for model, traits in zip(names, sibling_traits(TRAITS, len(names), rng), strict=True):
            models.append(Model(maker, model, traits))
    return models


def decorate(
    maker: Maker, height: npt.NDArray[np.float32], angle: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """Which glaze is where.

    Args:
        maker: Whose decor.
        height: On the vase, 0 to 1; any shape.
        angle: Around the vase, in radians; the same shape.

    Returns:
        Indices into a row of `GLAZES`, of that shape.
    """
    n, rows = maker.count, maker.rows
    turns = angle * n / (2 * np.pi)
    edge = np.abs(height - 0.66) < 0.02  # a thin line of the accent, and the rim
    match maker.decor:
        case "rings":
            second = (height * rows) % 1 < 0.38
        case "flutes":
            second = turns % 1 < 0.42
        case "checks":
            second = ((turns * 2) % 2 < 1) == ((height * 2 * rows) % 2 < 1)
        case "zigzag":
            wave = np.abs((turns % 1) - 0.5) * 0.24
            second = np.abs((height % 0.33) - 0.1 - wave) < 0.045
        case "dots":
            across, up = turns % 1 - 0.5, (height * 1.3 * rows) % 1 - 0.5
            second = across**2 + up**2 < 0.1
        case "dipped":
            second = height < 0.45 + 0.04 * np.sin(angle * 5)
            edge = np.abs(height - 0.45 - 0.04 * np.sin(angle * 5)) < 0.025
        case "spiral":
            second = (height * 3 + angle * 2 / (2 * np.pi)) % 1 < 0.4
        case _:  # petals around the foot
            second = height < 0.62 * np.abs(np.cos(turns * np.pi)) ** 0.7
    return np.where(edge | (height > 0.985), 2, np.where(second, 1, 0))


def _smooth(curve: Curve) -> Curve:
    """Without corners, as clay is."""
    for width in (7, 5):
        padded = np.pad(curve, width // 2, mode="edge")
        curve = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    return curve
