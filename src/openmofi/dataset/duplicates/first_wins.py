"""Near-duplicates: who goes with whom."""

import numpy as np
import numpy.typing as npt

from openmofi.dataset.duplicates.vector_search import Pairs

Numbers = npt.NDArray[np.int64]


def first_wins(pairs: Pairs) -> Pairs:
    """Who is dropped in favour of whom, when the earlier of two near samples wins.

    A sample goes if it is near one that stays. Chains are not followed: of a, b, c, with only
    neighbours near, b goes with a and c stays, since nothing says that c is like a. Labels go to
    the winner, so they must come from a real neighbour.

    Args:
        pairs: [pairs, 2] of sample numbers, in any order; the smaller number is the earlier one.

    Returns:
        [losers, 2]: loser and winner, sorted by loser.
    """
    names, places = np.unique(np.asarray(pairs, np.int64), return_inverse=True)
    early, late = np.sort(places.reshape(-1, 2), axis=1).T
    different = early != late
    early, late = early[different], late[different]
    gone = _gone(early, late, len(names))
    lost = gone[late] & ~gone[early]
    early, late = early[lost], late[lost]
    order = np.lexsort((early, late))
    losers, firsts = np.unique(late[order], return_index=True)
    return np.stack([names[losers], names[early[order][firsts]]], axis=1)


def _gone(early: Numbers, late: Numbers, number: int) -> npt.NDArray[np.bool_]:
    """Which of ``number`` samples are dropped: all of a round at once, as many rounds as it needs.

    Whoever has no earlier near sample left stays, and those near it go; that frees others.
    """
    gone = np.zeros(number, np.bool_)
    follows = np.zeros(number, np.bool_)
    while len(early):
        follows[late] = True
        gone[late[~follows[early]]] = True
        follows[late] = False
        open_still = ~(gone[early] | gone[late])
        early, late = early[open_still], late[open_still]
    return gone
