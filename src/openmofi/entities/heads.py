"""Aliases of several words that name something else than a kind of their last words.

A "polar bear" is a bear; a "hot dog" is no dog, and a text that says so may mean either. The last
words that are an alias themselves are the *head*, as the matcher gives it beside the whole.
"""

import dataclasses

import numpy as np
import pyarrow as pa

from openmofi.entities.index import MatcherIndex
from openmofi.entities.kernels_candidates import NAMES_OWN
from openmofi.entities.kernels_hash import Ints
from openmofi.entities.kernels_heads import find_own_names
from openmofi.entities.kernels_match import HEADS, NESTED, PLAIN
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.text import tokenize

_BATCH = 50_000  # aliases matched at a time


def with_own_names(
    index: MatcherIndex, surfaces: pa.Array, edges: Ints, entities: int
) -> MatcherIndex:
    """Set `NAMES_OWN` where an alias has a head and the entity is no kind of what that names.

    It is a kind if it is a candidate of the head itself, or one is above it in the graph.

    Args:
        index: Of these surfaces.
        surfaces: All aliases.
        edges: ``[edges, 2]`` rows of child and parent, sorted; circles are allowed.
        entities: Number of entities.
    """
    heads = _heads(AliasMatcher(index), surfaces)
    order = np.argsort(heads, kind="stable")
    order = order[heads[order] >= 0]
    own = find_own_names(
        order,
        heads,
        index.posting_starts.astype(np.int64),
        index.posting_entities,
        np.searchsorted(edges[:, 0], np.arange(entities + 1)),
        np.ascontiguousarray(edges[:, 1]),
    )
    flags = index.posting_flags | own.astype(np.uint8) * np.uint8(NAMES_OWN)
    return dataclasses.replace(index, posting_flags=flags)


def _heads(matcher: AliasMatcher, surfaces: pa.Array) -> Ints:
    """``[aliases]`` the longest alias that each ends in, by rows of the index; -1: none."""
    heads = np.full(len(matcher.index), -1, np.int64)
    for begin in range(0, len(surfaces), _BATCH):
        tokens = tokenize(surfaces.slice(begin, _BATCH), matcher.index.tables)
        rows = matcher.rows(tokens, HEADS)
        aliases, firsts, lasts, what = rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3]
        texts = tokens.texts
        whole = np.append(texts, -1)[lasts + 1] != texts[lasts]
        whole &= (firsts == 0) | (texts[firsts - 1] != texts[firsts])
        outer = np.flatnonzero(whole[:-1] & (what[:-1] == PLAIN) & (what[1:] == NESTED))
        heads[aliases[outer]] = aliases[outer + 1]
    return heads
