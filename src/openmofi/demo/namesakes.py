"""Things that share the name of something drawn: pubs, boats and horses named after it."""

from collections.abc import Mapping, Sequence
from typing import Any

from openmofi.demo.domain import Entity, slug

_PRIOR = 3.0  # as often spoken of as a drawn thing of middling fame

Texts = dict[str, list[tuple[str, str]]]


def name_after(
    drawn: Sequence[Entity], count: int, kinds: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Entity], Texts]:
    """Give every second of the best known entities a namesake, the kinds in turn.

    Args:
        drawn: All of a domain.
        count: How many of them get one.
        kinds: By the kind: ``what`` describes it, ``texts`` speak of it, with ``{name}``.

    Returns:
        The namesakes, and what `Wording.namesakes` wants to know of them.
    """
    namesakes: list[Entity] = []
    texts: Texts = {}
    turns = list(kinds.items())
    by_fame = sorted(drawn, key=lambda entity: -entity.prior)
    for number, entity in enumerate(by_fame[: 2 * count : 2]):
        kind, row = turns[number % len(turns)]
        name = entity.name.title()
        key = f"{slug(name)}-{slug(kind)}"
        namesakes.append(Entity(key, name, (f"{name} {kind}",), row["what"], (), _PRIOR))
        texts[entity.entity_id] = [(text.format(name=name), key) for text in row["texts"]]
    return namesakes, texts
