"""Spelling variants: aliases that texts write in one word or in two.

"kiwi fruit" is also written "kiwifruit", and "postbox" is also "post box". Only entities that are
written with a small letter get such aliases: a name has one spelling.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.entities.kernels_candidates import IS_VARIANT, WRITTEN_SMALL
from openmofi.entities.kernels_hash import Bools, Ints
from openmofi.entities.kernels_variants import first_words, places
from openmofi.entities.priors import Postings, mix_priors, postings_of
from openmofi.entities.text import string_buffers, tokenize

_SHORTEST = 3  # letters of each of the two words
_WHOLE = 6  # letters of a word that is cut
_ONE = rf"^\pL{{{_SHORTEST},}}$"
_TWO = rf"^\pL{{{_SHORTEST},}} \pL{{{_SHORTEST},}}$"
_BATCH = 50_000  # aliases cut at a time


class Spelled(NamedTuple):
    """Aliases together with their variants.

    Args:
        surfaces: Distinct, in the order of their bytes.
        postings: The candidates of each surface.
        variants: How many of them are variants.
    """

    surfaces: pa.Array
    postings: Postings
    variants: int


def with_variants(surfaces: pa.Array, postings: Postings, stops: Sequence[str]) -> Spelled:
    """Add the variants that are no alias already.

    An alias of two words, letters only, is joined. An alias of one word is cut in two where both
    parts are aliases themselves; of several such places the first is taken, so that it is "war
    plane", not "warp lane". Stop phrases take no part.

    Args:
        surfaces: ``large_string``, distinct, in the order of their bytes.
        postings: The candidates of each surface, one at least.
        stops: Surface keys that are no mention.
    """
    small = np.bitwise_or.reduceat(postings.flags, postings.starts[:-1]) & WRITTEN_SMALL != 0
    small &= ~_member(surfaces, pa.array(stops, surfaces.type))
    names, owners = _spell(surfaces, small)
    # Stable: the owners of one variant stay in order.
    order = pc.sort_indices(names).to_numpy().astype(np.int64)
    names, owners = names.take(pa.array(order)), owners[order]
    at, known = places(*string_buffers(names), *string_buffers(surfaces))
    kept = ~known & ~_member(names, pa.array(stops, names.type))
    names, owners, at = names.filter(pa.array(kept)), owners[kept], at[kept]
    if not len(names):
        return Spelled(surfaces, postings, 0)
    firsts = _firsts(names)
    added = _mixed(np.cumsum(firsts) - 1, owners, postings)
    distinct = np.flatnonzero(firsts)
    both = pa.concat_arrays([surfaces, names.take(pa.array(distinct))])
    merged = np.insert(
        np.arange(len(surfaces)), at[distinct], len(surfaces) + np.arange(len(distinct))
    )
    together = postings_of(_joined(postings, added), merged)
    return Spelled(both.take(pa.array(merged)), together, len(distinct))


def _spell(surfaces: pa.Array, small: Bools) -> tuple[pa.Array, Ints]:
    """Other spellings and the surface that each is of; both kinds in the order of the surfaces."""
    double = _rows(surfaces, small, _TWO, words=2)
    joined = pc.replace_substring(surfaces.take(pa.array(double)), " ", "")
    single = _rows(surfaces, small, _ONE, words=1)
    words = surfaces.take(pa.array(single))
    cuts = first_words(*string_buffers(words), _SHORTEST, _WHOLE)
    found = np.flatnonzero(cuts)
    written = words.take(pa.array(found)).to_pylist()
    pairs = zip(written, cuts[found].tolist(), strict=True)
    cut = pa.array([f"{word[:letters]} {word[letters:]}" for word, letters in pairs], words.type)
    return pa.concat_arrays([joined, cut]), np.concatenate((double, single[found]))


def _rows(surfaces: pa.Array, wanted: Bools, pattern: str, words: int) -> Ints:
    """Rows of the wanted surfaces of such a form; letters that are words of their own do not."""
    rows = np.flatnonzero(wanted)
    chosen = surfaces.take(pa.array(rows))
    matched = _bools(pc.match_substring_regex(chosen, pattern))
    rows, chosen = rows[matched], chosen.filter(pa.array(matched))
    counts = [np.zeros(0, np.int64)]
    for begin in range(0, len(chosen), _BATCH):
        batch = chosen.slice(begin, _BATCH)
        counts.append(np.bincount(tokenize(batch).texts, minlength=len(batch)))
    kept: Ints = rows[np.concatenate(counts) == words]
    return kept


def _mixed(variants: Ints, owners: Ints, postings: Postings) -> Postings:
    """Candidates of each variant: those of its surfaces that are written small.

    Args:
        variants: ``[pairs]`` from 0 without gaps, increasing.
        owners: ``[pairs]`` the surfaces that each is a variant of.
        postings: Of all surfaces.
    """
    taken = postings_of(postings, owners)
    pairs = np.repeat(np.arange(len(owners)), np.diff(taken.starts))
    small = np.flatnonzero(taken.flags & WRITTEN_SMALL)
    entities = taken.entities[small].astype(np.int64)
    sources = _ranks(variants)  # each surface speaks for itself, as the sources of an alias do
    variants, pairs = variants[pairs[small]], pairs[small]
    order = np.lexsort((pairs, entities, variants))
    return mix_priors(
        variants[order],
        entities[order],
        sources[pairs[order]],
        taken.priors[small][order].astype(np.float64),
        taken.flags[small][order] | np.uint8(IS_VARIANT),
        np.zeros(int(sources.max()) + 1, np.bool_),
    )


def _joined(one: Postings, other: Postings) -> Postings:
    """The surfaces of both."""
    return Postings(
        starts=np.concatenate((one.starts, one.starts[-1] + other.starts[1:])),
        entities=np.concatenate((one.entities, other.entities)),
        priors=np.concatenate((one.priors, other.priors)),
        flags=np.concatenate((one.flags, other.flags)),
    )


def _ranks(groups: Ints) -> Ints:
    """Place of each within its group; the groups are increasing."""
    ranks: Ints = np.arange(len(groups)) - np.searchsorted(groups, groups)
    return ranks


def _firsts(names: pa.Array) -> Bools:
    """Whether each of some sorted strings is another than the one before."""
    begins = np.ones(len(names), np.bool_)
    begins[1:] = _bools(pc.not_equal(names[1:], names[:-1]))
    return begins


def _member(names: pa.Array, among: pa.Array) -> Bools:
    return _bools(pc.is_in(names, value_set=among))


def _bools(column: pa.Array) -> Bools:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)
