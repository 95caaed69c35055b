"""Compiled: whether entities are below others in the graph."""

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled
from openmofi.entities.kernels_hash import Bools, Int, Ints

Numbers = npt.NDArray[np.int32]

_LEVELS = 16  # up from an entity
_MOST = 4096  # edges looked at for one posting


@compiled
def find_own_names(
    order: Ints, heads: Ints, starts: Ints, entities: Numbers, parent_starts: Ints, parents: Ints
) -> Bools:
    """Which postings are of something else than a kind of what the alias's head names.

    An entity that has more than `_MOST` edges above it, before one leads to a candidate of the
    head, is taken for a kind of it.

    Args:
        order: Aliases with a head, those of one head together.
        heads: ``[aliases]`` another alias, or below 0.
        starts: ``[aliases + 1]`` where each one's postings begin.
        entities: ``[postings]`` rows.
        parent_starts: ``[entities + 1]`` where each one's parents begin.
        parents: Rows.
    """
    size = len(parent_starts) - 1
    own = np.zeros(len(entities), np.bool_)
    wanted, seen = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
    queue = np.empty(_MOST + 1, np.int64)
    marked = -1
    for alias in order:
        head = heads[alias]
        if head != marked:
            marked = head
            for i in range(starts[head], starts[head + 1]):
                wanted[entities[i]] = head
        for i in range(starts[alias], starts[alias + 1]):
            own[i] = not _reaches(entities[i], i, head, wanted, seen, queue, parent_starts, parents)
    return own


@compiled
def _reaches(
    entity: Int, visit: Int, head: Int, wanted: Ints, seen: Ints, queue: Ints,
    parent_starts: Ints, parents: Ints,
) -> bool:  # fmt: skip
    """Whether the entity or one above it is wanted for the head, the nearest first."""
    if wanted[entity] == head:
        return True
    queue[0], seen[entity] = entity, visit
    begin, end, steps = 0, 1, 0
    for _ in range(_LEVELS):
        stop = end
        while begin < stop:
            child = queue[begin]
            begin += 1
            for edge in range(parent_starts[child], parent_starts[child + 1]):
                steps += 1
                if steps > _MOST:
                    return True
                parent = parents[edge]
                if wanted[parent] == head:
                    return True
                if seen[parent] != visit:
                    queue[end], seen[parent] = parent, visit
                    end += 1
    return False
