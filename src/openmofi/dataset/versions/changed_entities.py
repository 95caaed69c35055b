"""Which entities came, went, and changed their share of the pictures."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST = 1000  # listed of each kind; all are counted
_MOST_SHIFTED = 50

Images = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Entity:
    """An entity with its training images: of the old version, where the new one has none."""

    entity_id: str
    name: str
    images: int


@dataclass(frozen=True)
class Entities:
    """How many there are, and the first `MOST` by images, then by id."""

    count: int
    first: tuple[Entity, ...]


@dataclass(frozen=True)
class Shift:
    """An entity's training images in the old version and in fresh shards.

    ``z`` compares the two shares: positive where fresh shards hold more of it. Beyond 4 in either
    direction, chance alone is a poor reason, even among thousands of entities.
    """

    entity_id: str
    name: str
    old: int
    fresh: int
    z: float


@dataclass(frozen=True)
class EntityChanges:
    """Entities that only one version knows, those whose images are all gone, and shifts."""

    new: Entities
    gone: Entities
    emptied: Entities
    shifted: tuple[Shift, ...]


def entity_changes(old: pa.Table, new: pa.Table, fresh: Images) -> EntityChanges:
    """Compare two vocabularies.

    Args:
        old: By `records.VOCABULARY`.
        new: Likewise.
        fresh: Training images in fresh shards by class of ``new``, ``int64[classes]``.
    """
    before, after = _images(old), _images(new)
    names = {**_names(old), **_names(new)}

    def listed(found: Iterable[tuple[str, int]]) -> Entities:
        ordered = sorted(found, key=lambda one: (-one[1], one[0]))
        first = tuple(Entity(one, names[one], images) for one, images in ordered[:MOST])
        return Entities(len(ordered), first)

    return EntityChanges(
        new=listed((one, n) for one, n in after.items() if one not in before),
        gone=listed((one, n) for one, n in before.items() if one not in after),
        emptied=listed((one, n) for one, n in before.items() if n and after.get(one) == 0),
        shifted=_shifted(before, new, fresh),
    )


def _images(vocabulary: pa.Table) -> dict[str, int]:
    columns = (vocabulary.column(name).to_pylist() for name in ("entity_id", "images"))
    return dict(zip(*columns, strict=True))


def _names(vocabulary: pa.Table) -> dict[str, str]:
    columns = (vocabulary.column(name).to_pylist() for name in ("entity_id", "name"))
    return dict(zip(*columns, strict=True))


def _shifted(before: dict[str, int], new: pa.Table, fresh: Images) -> tuple[Shift, ...]:
    """By the z of two proportions, the largest first."""
    ids, names = (new.column(name).to_pylist() for name in ("entity_id", "name"))
    old = np.array([before.get(one, 0) for one in ids], np.int64)
    if not old.sum() or not fresh.sum():
        return ()
    together = (old + fresh) / (old.sum() + fresh.sum())
    spread = np.sqrt(together * (1 - together) * (1 / old.sum() + 1 / fresh.sum()))
    apart = fresh / fresh.sum() - old / old.sum()
    z = np.divide(apart, spread, out=np.zeros(len(ids)), where=spread > 0)
    order = sorted(np.flatnonzero(z), key=lambda place: (-abs(z[place]), ids[place]))
    return tuple(
        Shift(ids[i], names[i], int(old[i]), int(fresh[i]), round(float(z[i]), 3))
        for i in order[:_MOST_SHIFTED]
    )
