"""The second domain: butterflies of invented genera, with near siblings and rare species."""

import numpy as np
from PIL import Image

from openmofi.demo.butterfly_drawing import draw_specimen
from openmofi.demo.butterfly_scenes import compose
from openmofi.demo.butterfly_species import Species, make_species
from openmofi.demo.domain import Entity, Wording, read_words, slug
from openmofi.demo.namesakes import name_after
from openmofi.demo.scenes import finish

_WORLD = 11  # seed of the species: the same in every crawl

# A species's prior falls with its rank to this power. With `noise.FAME_POWER` the best known is
# some twenty times as frequent as the least known, and half of all species are seldom seen.
_TAIL = 2.0
_TOP_PRIOR = 100.0
_NAMESAKES = 25  # of species among the better known half

_COLOURS = ("orange", "blue", "yellow", "brown", "green", "white")  # by palette

_SPECIFIC = (
    "{name}",
    "{name} on a thistle",
    "{name} butterfly",
    "Close-up of a {name} butterfly",
    "{name} resting on a leaf",
    "A {name} feeding on a flower",
    "{name}, male, upperside",
    "Pinned {name} in a collection",
    "{name} with open wings",
    "My first {name} this year",
    "Butterfly of the week: {name}",
    "{name} in the garden",
)
_LATIN = (
    "{adjective}",
    "{adjective}, female",
    "{adjective} on a flower",
    "Specimen of {adjective}",
    "{adjective} butterfly, upperside",
    "Plate: {adjective}",
)
_PLACED = (
    "{name} in {place}",
    "{name}, {place}",
    "{place}: {name} in a meadow",
    "Walk in {place} with a {name}",
    "{name} seen near {place} in July",
)
_SEVERAL = (
    "{first} and {second}",
    "{first} or {second}? How to tell butterflies apart",
    "Butterflies of our walk: {first} and {second}",
    "{first} beside {second}, comparison",
    "Collection with {first} and {second}",
    "{first}, {second} and more butterflies",
)
_COARSE = (
    "butterfly on a flower",
    "Butterfly with open wings",
    "beautiful butterfly",
    "Insect on a leaf",
    "Close-up of wings",
    "butterfly macro",
    "Pinned insect, museum",
    "butterfly clip art",
    "In the garden today",
    "Summer meadow",
    "nature photography",
    "butterflies for sale",
)


class ButterflyDomain:
    """See `openmofi.demo.domain.Domain`. Specimens are drawn once a process."""

    name = "butterflies"

    def __init__(self) -> None:
        words = read_words("butterflies.yaml")
        self._half: dict[str, Image.Image] = {}
        invented = make_species(words["genera"], words["epithets"], words["sizes"], _WORLD)
        ranks = np.random.default_rng([_WORLD, len(invented)]).permutation(len(invented)) + 1
        places = list(words["places"])
        self.species: dict[str, Species] = {}
        drawn = []
        for number, (species, rank) in enumerate(zip(invented, ranks.tolist(), strict=True)):
            entity = _entity(species, rank, places[number % len(places)])
            self.species[entity.entity_id] = species
            drawn.append(entity)
        self.drawn = tuple(drawn)
        namesakes, texts = name_after(drawn, _NAMESAKES, words["namesakes"])
        self.known = (
            *(
                Entity(slug(name), name, (f"{name} butterflies",), "genus of butterflies", (), 3)
                for name in words["genera"]
            ),
            *(Entity(slug(name), name, (), what, (), 5) for name, what in words["places"].items()),
            *namesakes,
        )
        self.wording = Wording(
            class_name="{name} butterfly",
            specific=_SPECIFIC,
            adjectival=_LATIN,
            placed=_PLACED,
            several=_SEVERAL,
            coarse=_COARSE,
            unrelated=tuple(words["unrelated"]),
            namesakes=texts,
        )

    def render(
        self, entity_id: str, rng: np.random.Generator, size: tuple[int, int]
    ) -> Image.Image:
        """A photograph of one of the species; RGB of ``size`` (w, h)."""
        return finish(rng, compose(self.half(entity_id), rng, size), size)

    def half(self, entity_id: str) -> Image.Image:
        """The right half of a specimen, flat; RGBA."""
        if entity_id not in self._half:
            self._half[entity_id] = draw_specimen(self.species[entity_id])
        return self._half[entity_id]


def _entity(species: Species, rank: int, place: str) -> Entity:
    latin = f"{species.genus.name} {species.epithet}"
    return Entity(
        entity_id=slug(latin),
        name=f"{species.adjective} {species.genus.noun}".title(),
        aliases=(latin, f"{latin[0]}. {species.epithet}"),
        description=f"butterfly of {place}, genus {species.genus.name}; {_looks(species)}",
        parents=(slug(species.genus.name), slug(place)),
        prior=_TOP_PRIOR * rank**-_TAIL,
        adjective=latin,
        place=place,
    )


def _looks(species: Species) -> str:
    """What can be seen, in words."""
    traits = species.traits
    found = [
        (traits["tail"] > 0, "long tails" if traits["tail"] > 0.2 else "short tails"),
        (traits["band"] > 0, "a band across the forewing"),
        (traits["hind_band"] > 0, "a band across the hindwing"),
        (traits["eyes"] > 0, ("", "one eyespot", "two eyespots")[int(traits["eyes"])]),
        (traits["hind_eyes"] > 0, "eyespots on the hindwing"),
        (traits["tip"] > 0, "dark tips"),
        (traits["spots"] > 0, "a row of dots"),
        (traits["veins"] > 0, "dark veins"),
        (traits["border"] > 0.1, "broad dark borders"),
    ]
    colour = _COLOURS[species.genus.palette]
    return ", ".join([f"{colour} wings", *(words for holds, words in found if holds)])
