"""P(entity | surface) from the weights of one source, or from what several sources say."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.entities.kernels_hash import Bools, Bytes, Ints

Floats = npt.NDArray[np.float64]


class Postings(NamedTuple):
    """Candidates of all surfaces, one surface after the other, the likeliest first."""

    starts: Ints  # [surfaces + 1]
    entities: npt.NDArray[np.int32]
    priors: npt.NDArray[np.float32]
    flags: Bytes


def postings_of(postings: Postings, surfaces: Ints) -> Postings:
    """The candidates of some surfaces, in the order given."""
    starts, taken = chosen_rows(postings.starts, surfaces)
    _, entities, priors, flags = postings
    return Postings(starts, entities[taken], priors[taken], flags[taken])


def chosen_rows(starts: Ints, lists: Ints) -> tuple[Ints, Ints]:
    """Where some lists begin once they stand one after the other, and the rows that they hold.

    Args:
        starts: ``[lists + 1]`` where each list begins.
        lists: ``[chosen]``
    """
    begins = starts[lists]
    counts = starts[lists + 1] - begins
    ends = np.cumsum(counts)
    rows = np.arange(int(counts.sum())) + np.repeat(begins - (ends - counts), counts)
    return np.concatenate((np.zeros(1, np.int64), ends)), rows


def mix_priors(
    surfaces: Ints,
    entities: Ints,
    sources: Ints,
    weights: Floats,
    flags: Bytes,
    are_priors: Bools,
) -> Postings:
    """Each source's share of a surface's weights, averaged over the sources that know the surface.

    Weights of different sources have no common scale (Wikidata's are page counts, WordNet's one
    over a rank), so they are never added up. Where all candidates weigh 0, none is likelier.

    Args:
        surfaces: ``[pairs]`` from 0 without gaps, increasing.
        entities: ``[pairs]`` increasing within a surface.
        sources: ``[pairs]``
        weights: ``[pairs]`` 0 or more; one for each surface, entity and source.
        flags: ``[pairs]`` bits, put together over the sources.
        are_priors: ``[sources]`` the source's weights are shares already.
    """
    cells, cell_of = np.unique(surfaces * len(are_priors) + sources, return_inverse=True)
    total = np.bincount(cell_of, weights)[cell_of]
    size = np.bincount(cell_of)[cell_of]
    share = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / size)
    share = np.where(are_priors[sources], weights, share).astype(np.float32)
    speaking = np.bincount(cells // len(are_priors))  # [surfaces]
    share = share / speaking[surfaces].astype(np.float32)
    begins = np.ones(len(surfaces), np.bool_)
    begins[1:] = (np.diff(surfaces) != 0) | (np.diff(entities) != 0)
    firsts = np.flatnonzero(begins)
    priors = np.add.reduceat(share.astype(np.float64), firsts).astype(np.float32)
    owners, entities = surfaces[firsts], entities[firsts]
    order = np.lexsort((entities, -priors, owners))
    counts = np.bincount(owners)
    return Postings(
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        entities=entities[order].astype(np.int32),
        priors=priors[order],
        flags=np.bitwise_or.reduceat(flags, firsts)[order],
    )
