"""The third domain: vases of invented makers, models of which differ in shape alone."""

from typing import Any

import numpy as np
from PIL import Image

from openmofi.demo.domain import Entity, Wording, read_words, slug
from openmofi.demo.namesakes import name_after
from openmofi.demo.scenes import finish
from openmofi.demo.vase_models import Model, make_models
from openmofi.demo.vase_scenes import compose

_WORLD = 12  # seed of the models: the same in every crawl
_TOP_PRIOR = 100.0  # falls with the rank: the best known about four times as frequent as the rest
_NAMESAKES = 24  # of models among the better known half

_GLAZES = ("celadon", "white and blue", "terracotta", "oxblood", "slate blue", "ochre")
_DECORS = {
    "rings": "with rings", "flutes": "with stripes from top to bottom", "checks": "chequered",
    "zigzag": "with a zigzag", "dots": "dotted", "dipped": "dipped in a second glaze",
    "spiral": "with a spiral", "petals": "with petals around the foot",
}  # fmt: skip

_SPECIFIC = (
    "{name} vase",
    "Vase {name}",
    "{name} ceramic vase on a table",
    "The {name} vase, side view",
    "{name} vase, height 24 cm",
    "Vintage {name} vase in good condition",
    "{name} vase from above",
    "Studio pottery: {name}",
    "{name} vase in the window",
    "Auction: {name} vase, signed",
    "{name} flower vase without flowers",
    "Small {name} vase",
)
_BY_MAKER = (
    "{adjective}",
    "{adjective} vase",
    "{adjective}, stoneware",
    "Vase {adjective}, signed on the base",
    "{adjective} vase for sale",
    "{adjective} in a showcase",
)
_PLACED = (
    "{name} vase from {place}",
    "{name}, made in {place}",
    "{place} pottery: vase {name}",
    "Kiln in {place}, vase {name}",
    "{name} in the museum of {place}",
)
_SEVERAL = (
    "{first} and {second} vases",
    "{first} beside {second}, price comparison",
    "Shelf with {first} and {second}",
    "Vases {first}, {second}, lot of several",
    "From {first} to {second}: our collection",
    "{first} or {second} for your living room",
)
_COARSE = (
    "vase on a table",
    "Ceramic vase",
    "handmade pottery",
    "Old vase from the attic",
    "Interior with a vase",
    "home decoration",
    "Vase, side view",
    "stoneware",
    "At the flea market",
    "Gift idea",
    "Museum, showcase 4",
    "vases for sale",
)


class VaseDomain:
    """See `openmofi.demo.domain.Domain`."""

    name = "vases"

    def __init__(self) -> None:
        words = read_words("vases.yaml")
        makers = words["makers"]
        models = make_models({name: row["models"] for name, row in makers.items()}, _WORLD)
        ranks = np.random.default_rng([_WORLD, len(models)]).permutation(len(models)) + 1
        self.models: dict[str, Model] = {}
        drawn = []
        for number, (model, rank) in enumerate(zip(models, ranks.tolist(), strict=True)):
            entity = _entity(model, number, rank, makers[model.maker.name]["town"])
            self.models[entity.entity_id] = model
            drawn.append(entity)
        self.drawn = tuple(drawn)
        namesakes, texts = name_after(drawn, _NAMESAKES, words["namesakes"])
        self.known = (*_makers_and_towns(makers, models), *namesakes)
        self.wording = Wording(
            class_name="{name} vase",
            specific=_SPECIFIC,
            adjectival=_BY_MAKER,
            placed=_PLACED,
            several=_SEVERAL,
            coarse=_COARSE,
            unrelated=tuple(words["unrelated"]),
            namesakes=texts,
        )

    def render(
        self, entity_id: str, rng: np.random.Generator, size: tuple[int, int]
    ) -> Image.Image:
        """A photograph of one of the model; RGB of ``size`` (w, h)."""
        return finish(rng, compose(self.models[entity_id], rng, size), size)


def _entity(model: Model, number: int, rank: int, town: str) -> Entity:
    maker = model.maker.name
    return Entity(
        entity_id=slug(f"{maker} {model.name}"),
        name=model.name,
        aliases=(f"{maker} {model.name}", f"{maker} no. {101 + 7 * number}"),
        description=f"vase by {maker} of {town}; {_looks(model)}",
        parents=(slug(maker),),
        prior=_TOP_PRIOR / rank,
        adjective=f"{maker} {model.name}",
        place=town,
    )


def _makers_and_towns(makers: dict[str, Any], models: list[Model]) -> list[Entity]:
    first = {model.maker.name: model.maker for model in reversed(models)}
    entities = []
    for name, row in makers.items():
        maker, town = first[name], row["town"]
        style = f"{_GLAZES[maker.glazes]} glazes, {_DECORS[maker.decor]}"
        what = f"pottery in {town}, known for {maker.form} vases in {style}"
        entities.append(Entity(slug(name), name, (f"{name} pottery",), what, (slug(town),), 4))
        entities.append(Entity(slug(town), town, (), f"town with a pottery, {name}", (), 4))
    return entities


def _looks(model: Model) -> str:
    """What can be seen, in words."""
    traits, maker = model.traits, model.maker
    girth = "slender " if traits["girth"] < 1 else "wide " if traits["girth"] > 1 else ""
    found = [
        (traits["belly"] < 1, "a low belly"),
        (traits["belly"] > 1, "a high belly"),
        (traits["neck"] > 0, "a long neck"),
        (traits["lip"] > 0, "a flared lip"),
        (traits["foot"] > 0, "a foot on a stem"),
    ]
    shape = ", ".join([f"{girth}{maker.form}", *(words for holds, words in found if holds)])
    return f"{shape}; {_GLAZES[maker.glazes]}, {_DECORS[maker.decor]}"
