"""Who hangs together with whom over any number of near pairs: what a split may not cut apart."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from openmofi.dataset.duplicates.vector_search import Pairs


def components(pairs: Pairs) -> Pairs:
    """The earliest sample of every connected component, for all samples that a pair names.

    Unlike `first_wins` this follows chains: of a, b, c, with only neighbours near, all three are
    one component, for b may not stand in one split with a copy of it in the other.

    Args:
        pairs: [pairs, 2] of sample numbers, in any order; repeated pairs do no harm.

    Returns:
        [samples, 2]: sample and the smallest number of its component, sorted by sample.
    """
    names, places = np.unique(np.asarray(pairs, np.int64), return_inverse=True)
    left, right = places.reshape(-1, 2).T
    links = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(names),) * 2)
    number, component = connected_components(links, directed=False)
    earliest = np.full(number, len(names), np.int64)
    np.minimum.at(earliest, component, np.arange(len(names)))
    return np.stack([names, names[earliest[component]]], axis=1)
