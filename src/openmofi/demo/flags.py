"""The first domain: flags of countries and regions, drawn by code."""

from typing import Any

import numpy as np
from PIL import Image

from openmofi.demo.domain import Entity, Wording, read_words, slug
from openmofi.demo.drawing import draw_shapes
from openmofi.demo.scenes import photograph

_CONTINENTS = {
    "Europe": "continent west of Asia",
    "Asia": "the largest continent",
    "Africa": "continent south of Europe",
    "North America": "continent north of South America",
    "South America": "continent south of North America",
    "Caribbean": "sea and islands east of Central America",
    "Oceania": "region of islands in the Pacific",
}

_SPECIFIC = (
    "Flag of {name}",
    "{name} flag",
    "{name} flag waving in the wind",
    "The flag of {name} on a pole",
    "{name} flag against the sky",
    "Official flag of {name}",
    "Waving flag of {name}",
    "{name}",
    "Fans from {name} with their flag",
    "Fabric flag of {name}",
    "Large {name} flag on a building",
    "Flag of {name} at sunset",
)
_ADJECTIVAL = (
    "{adjective} flag",
    "{adjective} flag waving in the wind",
    "{adjective} fans with flag",
    "Old {adjective} flag",
    "{adjective} flag on a flagpole",
    "The {adjective} flag at half mast",
)
_PLACED = (
    "{name} flag in {place}",
    "Flag of {name} over {place}",
    "{name}: flags in {place}",
    "Parade in {place}, {name}",
    "{place}, {name}: flag at the town hall",
)
_SEVERAL = (
    "{first} and {second} flags on a table",
    "{first} vs {second}, friendly match",
    "Flags of {first} and {second}",
    "{first} beats {second} in the semi-final",
    "From {first} to {second}: our trip",
    "{first} fans before the game against {second}",
)
_COARSE = (
    "flag waving in the wind",
    "Flag on a pole against the sky",
    "national flag",
    "Old flag on a wall",
    "Close-up of a waving flag",
    "fabric texture of a flag",
    "flag icon",
    "Banner on a building",
    "Our trip, day three",
    "At the stadium",
    "view from the hotel",
    "flags for sale",
)


class FlagDomain:
    """See `openmofi.demo.domain.Domain`. Flags are drawn once a process and photographed often."""

    name = "flags"

    def __init__(self) -> None:
        flags, others = read_words("flags.yaml"), read_words("namesakes.yaml")
        self._shapes = {key: row["draw"].split(";") for key, row in flags.items()}
        self._flat: dict[str, Image.Image] = {}
        self.drawn = tuple(_flag_entity(key, row) for key, row in flags.items())
        self.known = (
            *(_other_entity(key, row) for key, row in others["entities"].items()),
            *_cities(flags),
            *(Entity(slug(name), name, (), what, (), 50) for name, what in _CONTINENTS.items()),
        )
        namesakes: dict[str, list[tuple[str, str]]] = {}
        for key, row in others["entities"].items():
            texts = [(text, key) for text in row.get("texts", ())]
            if texts:
                namesakes.setdefault(row["of"], []).extend(texts)
        self.wording = Wording(
            class_name="flag of {name}",
            specific=_SPECIFIC,
            adjectival=_ADJECTIVAL,
            placed=_PLACED,
            several=_SEVERAL,
            coarse=_COARSE,
            unrelated=tuple(others["unrelated"]),
            namesakes=namesakes,
        )

    def render(
        self, entity_id: str, rng: np.random.Generator, size: tuple[int, int]
    ) -> Image.Image:
        """A photograph of the flag; RGB of ``size`` (w, h)."""
        return photograph(self.flat(entity_id), rng, size)

    def flat(self, entity_id: str) -> Image.Image:
        """The flag itself, as drawn; RGB."""
        if entity_id not in self._flat:
            self._flat[entity_id] = draw_shapes(self._shapes[entity_id])
        return self._flat[entity_id]


def _flag_entity(key: str, row: dict[str, Any]) -> Entity:
    return Entity(
        entity_id=key,
        name=row["name"],
        aliases=tuple(row["other"]),
        description=f"{row['what']}; flag: {row['looks']}",
        parents=(slug(row["continent"]),),
        prior=float(row["fame"]),
        adjective=row["other"][0],
        place=row["capital"],
    )


def _other_entity(key: str, row: dict[str, Any]) -> Entity:
    continent = (slug(row["continent"]),) if "continent" in row else ()
    return Entity(
        entity_id=key,
        name=row["name"],
        aliases=tuple(row["other"]),
        description=row["what"],
        parents=(*row.get("parents", ()), *continent),
        prior=float(row["fame"]),
    )


def _cities(flags: dict[str, Any]) -> list[Entity]:
    """Capitals; one may serve two (London)."""
    owners: dict[str, list[str]] = {}
    for key, row in flags.items():
        if row["capital"]:
            owners.setdefault(row["capital"], []).append(key)
    cities = []
    for city, keys in owners.items():
        of = " and ".join(flags[key]["name"] for key in keys)
        fame = max(flags[key]["fame"] for key in keys) / 2
        cities.append(Entity(slug(city), city, (), f"capital of {of}", tuple(keys), fame))
    return cities
