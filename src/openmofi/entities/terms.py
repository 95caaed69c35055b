"""Words as terms of sparse vectors: the same for entity descriptions and for alt texts."""

import functools

import numpy as np

from openmofi.entities.hashing import Hashes, RunningHash, mix, raw_hash
from openmofi.entities.stopwords import stop_phrases
from openmofi.entities.text import Bools, Tokens


def term_hashes(tokens: Tokens) -> tuple[Hashes, Bools]:
    """Hash of each token without a plural's ``s``, and which tokens are terms at all.

    Stop words and what cannot begin a mention (the ``t`` of ``don't``) are none.
    """
    running = RunningHash(tokens.codes)
    lengths = tokens.ends - tokens.starts
    whole = mix(running.stretch(tokens.starts, tokens.ends))
    last, before = tokens.codes[tokens.ends - 1], tokens.codes[tokens.ends - 2]
    plural = (lengths > 3) & (last == ord("s")) & ~np.isin(before, [ord("s"), ord("u"), ord("i")])
    stems = mix(running.stretch(tokens.starts, tokens.ends - plural))
    return stems, tokens.may_start & ~np.isin(whole, _stop_hashes())


@functools.lru_cache(maxsize=1)
def _stop_hashes() -> Hashes:
    words = [phrase for phrase in stop_phrases() if " " not in phrase]
    return np.unique(mix(np.array([raw_hash(word) for word in words], dtype=np.uint64)))
