"""Alt texts as the web writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from openmofi.demo.domain import Domain, Entity
from openmofi.demo.noise import LOWER_CASE, TITLES, UPPER_CASE

ItemT = TypeVar("ItemT")

_CHATTER = (
    "Royalty free stock photo of {text}", "{text} - stock image {number}", "{text} | HD wallpaper",
    "Photo: {text} (c) all rights reserved", "Buy {text} online, free shipping",
    "{text}, high resolution download", "Premium photo | {text} 3d illustration",
    "{text} #travel #photography", "[{number}] {text}, JPG, 300 dpi", "{text} -- click to enlarge",
    "DSC_{number} {text}",
)  # fmt: skip
_NOTHING = ("", "", "-")
_GENERAL_TITLES = (
    "Photo gallery, page 3", "Travel blog", "Free images", "World news", "Sports results",
    "Geography for schools", "My holidays", "Search results", "Shop", "Encyclopaedia",
)  # fmt: skip


@dataclass(frozen=True)
class Caption:
    """An alt text.

    Args:
        text: As it stands beside the image.
        lettering: The part that may be rendered into the image.
        kind: A key of ``noise.TEXT_KINDS``.
        named: Ids of the entities that the text means, shown or not.
    """

    text: str
    lettering: str
    kind: str
    named: tuple[str, ...]


def write_caption(domain: Domain, kind: str, shown: Entity, rng: np.random.Generator) -> Caption:
    """An alt text of a kind for a picture of ``shown``."""
    if kind == "placed" and not shown.place:
        kind = "specific"
    text, named = _content(domain, kind, shown, rng)
    whole = text
    if kind == "chatter":
        number = int(rng.integers(1000, 99999999))
        whole = _pick(rng, _CHATTER).format(text=text, number=number)
    case = rng.random()
    if case < LOWER_CASE:
        text, whole = text.lower(), whole.lower()
    elif case < LOWER_CASE + UPPER_CASE:
        text, whole = text.upper(), whole.upper()
    return Caption(whole, text, kind, named)


def write_title(kind: str, shown: Entity, rng: np.random.Generator) -> str | None:
    """The title of the page, if it has one."""
    title = rng.choice(list(TITLES), p=list(TITLES.values()))
    if title == "none":
        return None
    if title == "names" and kind != "wrong":
        return f"{shown.name} - pictures and facts"
    return _pick(rng, _GENERAL_TITLES)


def _content(
    domain: Domain, kind: str, shown: Entity, rng: np.random.Generator
) -> tuple[str, tuple[str, ...]]:
    wording = domain.wording
    match kind:
        case "several":
            return _several(domain, shown, rng)
        case "placed":
            text = _pick(rng, wording.placed).format(name=shown.name, place=shown.place)
            return text, (shown.entity_id,)
        case "namesake":
            others = [key for key in wording.namesakes if key != shown.entity_id]
            text, namesake = _pick(rng, wording.namesakes[_pick(rng, others)])
            return text, (namesake,)
        case "coarse":
            return _pick(rng, wording.coarse), ()
        case "wrong":
            if rng.random() < 0.4:
                return _pick(rng, wording.unrelated), ()
            other = _another(domain, shown, rng)
            return _specific(domain, other, rng), (other.entity_id,)
        case "none":
            return _pick(rng, _NOTHING), ()
        case _:
            return _specific(domain, shown, rng), (shown.entity_id,)


def _specific(domain: Domain, entity: Entity, rng: np.random.Generator) -> str:
    wording = domain.wording
    if entity.adjective and rng.random() < 0.25:
        return _pick(rng, wording.adjectival).format(adjective=entity.adjective)
    return _pick(rng, wording.specific).format(name=entity.name)


def _several(
    domain: Domain, shown: Entity, rng: np.random.Generator
) -> tuple[str, tuple[str, ...]]:
    """Two or three entities in any order; the one that is shown is among them."""
    others = [_another(domain, shown, rng) for _ in range(int(rng.integers(1, 3)))]
    entities = list({entity.entity_id: entity for entity in [shown, *others]}.values())
    entities = [entities[int(i)] for i in rng.permutation(len(entities))]
    names = [entity.name for entity in entities]
    first = ", ".join(names[:-1])
    text = _pick(rng, domain.wording.several).format(first=first, second=names[-1])
    return text, tuple(entity.entity_id for entity in entities)


def _another(domain: Domain, shown: Entity, rng: np.random.Generator) -> Entity:
    return _pick(rng, [e for e in domain.drawn if e.entity_id != shown.entity_id])


def _pick(rng: np.random.Generator, items: Sequence[ItemT]) -> ItemT:
    return items[int(rng.integers(len(items)))]
