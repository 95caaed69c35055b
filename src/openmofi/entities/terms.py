"""Words as terms of sparse vectors: the same for entity descriptions and for alt texts."""

import numpy as np

from openmofi.entities.kernels_hash import Bools, Hashes, hash_stretches
from openmofi.entities.text import Tokens, tokenize
from openmofi.entities.words import stop_phrases


def term_hashes(tokens: Tokens, stops: Hashes) -> tuple[Hashes, Bools]:
    """Hash of each token without a plural's ``s``, and which tokens are terms at all.

    Stop words and what cannot begin a mention (the ``t`` of ``don't``) are none.
    """
    lengths = tokens.ends - tokens.starts
    whole = hash_stretches(tokens.codes, tokens.starts, tokens.ends)
    last, before = tokens.codes[tokens.ends - 1], tokens.codes[tokens.ends - 2]
    plural = (lengths > 3) & (last == ord("s")) & ~np.isin(before, [ord("s"), ord("u"), ord("i")])
    stems = hash_stretches(tokens.codes, tokens.starts, tokens.ends - plural)
    return stems, tokens.may_start & ~np.isin(whole, stops)


def stop_hashes() -> Hashes:
    """Sorted hashes of the words that are no terms."""
    tokens = tokenize([phrase for phrase in stop_phrases() if " " not in phrase])
    return np.unique(hash_stretches(tokens.codes, tokens.starts, tokens.ends))
