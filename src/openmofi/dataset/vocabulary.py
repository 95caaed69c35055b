"""Which class an entity is: a list that only grows."""

from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa

from openmofi.records import VOCABULARY, empty, from_parquet, from_rows
from openmofi.versions import Manifest


class EntityNames(Protocol):
    """What a vocabulary takes from a knowledge base."""

    def name(self, entity_id: str) -> str:
        """The entity's name."""

    def description(self, entity_id: str) -> str:
        """What it is, in a few words; may be empty."""


def read_vocabulary(dataset: Manifest) -> pa.Table:
    """The vocabulary of a data set, by `records.VOCABULARY`."""
    return from_parquet(dataset.store.get(dataset.content["vocabulary"]))


def grow_vocabulary(
    parent: pa.Table | None, images: Mapping[str, int], knowledge_base: EntityNames | None
) -> pa.Table:
    """The parent's entities with their class indices, then the new ones, sorted by id.

    Args:
        parent: Vocabulary of the version before, or None.
        images: Training images of this version by entity, for every entity that is a label. What
            the parent has and this version does not stays a class with no image.
        knowledge_base: Names and descriptions of new entities; unused if there is none.
    """
    old = (empty(VOCABULARY) if parent is None else parent).to_pylist()
    rows: list[dict[str, Any]] = [{**row, "images": images.get(row["entity_id"], 0)} for row in old]
    known = {row["entity_id"] for row in rows}
    for entity in sorted(images.keys() - known):
        assert knowledge_base is not None, "labels come with a knowledge base"
        rows.append(
            {
                "class_index": len(rows),
                "entity_id": entity,
                "name": knowledge_base.name(entity),
                "description": knowledge_base.description(entity),
                "images": images[entity],
            }
        )
    return from_rows(rows, VOCABULARY)
