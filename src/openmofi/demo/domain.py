"""What a domain of the demo crawl brings: things to draw, and how the web speaks of them.

A domain is one class that has what `Domain` asks for. The crawl, its noise, its files
and its truth know nothing of flags, butterflies or vases.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

import numpy as np
import yaml
from PIL import Image


@dataclass(frozen=True)
class Entity:
    """A row of the knowledge base; some of them can be drawn.

    Args:
        entity_id: Safe as a folder's name.
        name: As people write it.
        aliases: Other surfaces that may mean it; two entities may share one.
        description: What it is, in a line.
        parents: Ids of what it belongs to.
        prior: How often the world speaks of it, above 0.
        adjective: For templates such as "German flag", or "".
        place: A place whose mention tells it from its namesakes, or "".
    """

    entity_id: str
    name: str
    aliases: tuple[str, ...]
    description: str
    parents: tuple[str, ...]
    prior: float
    adjective: str = ""
    place: str = ""


@dataclass(frozen=True)
class Wording:
    """Templates of alt texts. All may be capitalised otherwise or carry chatter when used.

    Args:
        class_name: Of an evaluation class: ``{name}``.
        specific: With ``{name}``.
        adjectival: With ``{adjective}``.
        placed: With ``{name}`` and ``{place}``.
        several: With ``{first}`` and ``{second}``, of which one is shown.
        coarse: Name no entity.
        unrelated: Texts that belong to other pictures; they may name other entities.
        namesakes: By the id of an entity that can be drawn: texts about its namesakes, each with
            the id of the namesake that it means.
    """

    class_name: str
    specific: Sequence[str]
    adjectival: Sequence[str]
    placed: Sequence[str]
    several: Sequence[str]
    coarse: Sequence[str]
    unrelated: Sequence[str]
    namesakes: Mapping[str, Sequence[tuple[str, str]]]


class Domain(Protocol):
    """One kind of thing."""

    @property
    def name(self) -> str:
        """Of the domain."""

    @property
    def drawn(self) -> Sequence[Entity]:
        """The classes: what `render` can draw."""

    @property
    def known(self) -> Sequence[Entity]:
        """In the knowledge base only: places, namesakes, distractors."""

    @property
    def wording(self) -> Wording:
        """How the web speaks of them."""

    def render(
        self, entity_id: str, rng: np.random.Generator, size: tuple[int, int]
    ) -> Image.Image:
        """A photograph of the entity in a scene drawn by ``rng``; RGB, ``size`` = (w, h)."""


def slug(name: str) -> str:
    """``name`` as an id: small ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def read_words(name: str) -> dict[str, Any]:
    """A YAML file of this package."""
    text = resources.files("openmofi.demo").joinpath(name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded
