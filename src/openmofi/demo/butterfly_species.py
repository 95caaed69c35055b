"""Parametric butterflies: genera have a shape, colours and a style; species vary a few traits.

Colours are a genus's own and each set of them serves several genera, so that they tell neither a
species from its siblings nor a genus from all others. Shapes and patterns do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openmofi.demo.traits import sibling_traits

# Ground, second, accent, dark.
PALETTES = (
    ("#e0832b", "#f0c070", "#fbf3dc", "#2a1a12"), ("#3d74c4", "#a3c8ec", "#f4f6fb", "#16182c"),
    ("#ecd24a", "#f8efbe", "#d8542c", "#33291a"), ("#8a5a38", "#cfae84", "#f0d060", "#2b1d16"),
    ("#3f9a6b", "#b9dcb0", "#f6e27a", "#14281f"), ("#eceae2", "#b4aca4", "#e58a34", "#2c2a2e"),
)  # fmt: skip

# What a species may have, and in which settings. Lengths are shares of a wing's own.
TRAITS: dict[str, tuple[float, ...]] = {
    "tail": (0.0, 0.18, 0.36),  # of the hindwing
    "band": (0.0, 0.32, 0.62),  # how far out a band crosses the forewing; 0: none
    "hind_band": (0.0, 0.5),
    "eyes": (0, 1, 2),  # eyespots on a forewing
    "hind_eyes": (0, 1, 3),
    "border": (0.06, 0.17),
    "tip": (0, 1),  # dark tips of the forewings
    "spots": (0, 1),  # a row of dots along the forewing's edge
    "veins": (0, 1),
    "swapped": (0, 1),  # which wing has the ground colour, which the second
}
_VARYING = 5  # of them in a genus; all its species share the others


@dataclass(frozen=True)
class WingShape:
    """A wing around its base.

    Args:
        angles: Of the leading and the trailing edge in degrees; 0 is outwards, 90 backwards.
        radii: From the base to the edge at the front, in the middle and at the rear.
        bow: How far the leading edge bends forwards.
        scallops: Waves of the outer edge.
    """

    angles: tuple[float, float]
    radii: tuple[float, float, float]
    bow: float = 0.0
    scallops: int = 0


@dataclass(frozen=True)
class Genus:
    """What its species share."""

    name: str
    noun: str  # in common names
    palette: int
    fore: WingShape
    hind: WingShape
    varying: tuple[str, ...]


@dataclass(frozen=True)
class Species:
    """One kind; ``traits`` has a setting for each of `TRAITS`."""

    genus: Genus
    adjective: str
    epithet: str
    traits: Mapping[str, float]


def make_species(
    genera: Mapping[str, str], epithets: Mapping[str, str], sizes: Sequence[int], seed: int
) -> list[Species]:
    """Invent the species of all genera.

    Args:
        genera: Latin names and the nouns of their common names.
        epithets: Adjectives of common names, and the Latin ones.
        sizes: Species of the genera, taken in turn.
        seed: Of this world; the same for every crawl.
    """
    species: list[Species] = []
    for number, (name, noun) in enumerate(genera.items()):
        rng = np.random.default_rng([seed, number])
        genus = _make_genus(name, noun, number % len(PALETTES), rng)
        shared = {
            trait: float(rng.choice(levels))
            for trait, levels in TRAITS.items()
            if trait not in genus.varying
        }
        count = sizes[number % len(sizes)]
        varying = {trait: TRAITS[trait] for trait in genus.varying}
        words = list(epithets.items())
        chosen = [words[int(i)] for i in rng.choice(len(words), count, replace=False)]
        settings = sibling_traits(varying, count, rng)
        for (adjective, epithet), own in zip(chosen, settings, strict=True):
            species.append(Species(genus, adjective, epithet, {**shared, **own}))
    return species


def _make_genus(name: str, noun: str, palette: int, rng: np.random.Generator) -> Genus:
    apex, hook = rng.uniform(38, 60), rng.uniform(-0.1, 0.06)
    tip, rear = rng.uniform(0.82, 1.0), rng.uniform(0.54, 0.74)
    fore = WingShape(
        angles=(-apex, rng.uniform(4, 16)),
        radii=(tip, (tip + rear) / 2 + hook, rear),
        bow=rng.uniform(0.02, 0.1),
    )
    hind = WingShape(
        angles=(-32, rng.uniform(70, 85)),  # its front lies under the forewing
        radii=(rng.uniform(0.46, 0.68), rng.uniform(0.5, 0.84), rng.uniform(0.44, 0.68)),
        scallops=int(rng.choice([0, 0, 5, 7])),
    )
    varying = rng.choice(list(TRAITS), _VARYING, replace=False)
    return Genus(name, noun, palette, fore, hind, tuple(str(trait) for trait in varying))
