"""What every reader of a knowledge-base source gives: entities with aliases, priors and a graph."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from openmofi.errors import InputError


@dataclass(frozen=True)
class SourceEntity:
    """One entity as its source tells it.

    Args:
        entity_id: Distinct within the knowledge base.
        name: What people call it.
        aliases: Surface form and weight, the name among them. Weights compare entities that share
            a surface form; they need not add up to anything.
        description: One line, may be empty.
        popularity: Weight of the entity as a whole, 0 or more.
        parents: Ids of broader entities.
    """

    entity_id: str
    name: str
    aliases: tuple[tuple[str, float], ...]
    description: str
    popularity: float
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """One source, read whole.

    Args:
        name: Kind and file name, for people.
        digest: Of the files' content.
        licence: As the source states it; empty if it does not.
        entities: In the order of the source.
        notice: Licence text that must go along with what is made of it; may be empty.
        plurals: Irregular plurals with their singulars, as written in the source.
    """

    name: str
    digest: str
    licence: str
    entities: tuple[SourceEntity, ...]
    notice: str = ""
    plurals: Mapping[str, str] = field(default_factory=dict)


def local_path(given: str) -> Path:
    """A path from a path or a ``file://`` URI."""
    return Path(given.removeprefix("file://"))


def merge(sources: Iterable[Source]) -> list[SourceEntity]:
    """All entities, sorted by id.

    Raises:
        InputError: Two sources use one id, or there is no entity at all.
    """
    owners: dict[str, str] = {}
    entities: list[SourceEntity] = []
    names = []
    for source in sources:
        names.append(source.name)
        for entity in source.entities:
            other = owners.setdefault(entity.entity_id, source.name)
            if other != source.name:
                raise InputError(
                    f"entity id '{entity.entity_id}' is in {other} and in {source.name}; ids of "
                    "sources that are combined must not clash"
                )
        entities.extend(source.entities)
    if not entities:
        raise InputError(f"the knowledge base would have no entity: {', '.join(names)} is empty")
    return sorted(entities, key=lambda entity: entity.entity_id)
