"""Compile aliases into a `MatcherIndex`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.entities.index import MAX_TOKENS, Inflection, MatcherIndex, hash_shift
from openmofi.entities.kernels_hash import Bools, Bytes, Hashes, Ints
from openmofi.entities.kernels_index import (
    fill_slots,
    hash_sequences,
    hash_words,
    measure_sequences,
    spell,
    write_sequences,
    write_words,
)
from openmofi.entities.kernels_sequences import (
    CONTINUES,
    ENDS,
    WORD_CONTINUES,
    WORD_SHIFT,
    WORD_STOPS,
)
from openmofi.entities.kernels_words import HEADER
from openmofi.entities.priors import chosen_rows
from openmofi.entities.text import MAX_KEY_BYTES, string_buffers, text_array, tokenize
from openmofi.entities.unicode_tables import unicode_tables

_BATCH = 50_000  # keys cut at a time
_SLOTS_PER_ENTRY = 8  # a look-up that finds nothing stops in the bitmap 7 times of 8
_WORDS_PER_BUCKET = 2
_ALIASES_PER_BUCKET = 4  # their records are short: the next ones are read along anyway


class _Sequences(NamedTuple):
    """All keys as numbers: words and gaps in turn."""

    words: pa.Array  # distinct, in the order of their hashes
    hashes: Hashes  # of the words
    ids: npt.NDArray[np.int32]
    starts: Ints  # [keys] where each key's numbers begin
    lengths: Ints  # [keys] words of each key

    @property
    def space(self) -> int:
        """Number of the single space, -1 if no key has one."""
        return int(pc.index(self.words, " ").as_py())

    @property
    def id_bytes(self) -> int:
        """Bytes that a word's number takes."""
        return 3 if len(self.words) < 1 << 24 else 4


def build_index(
    surfaces: pa.Array | Sequence[str],
    posting_starts: Ints,
    posting_entities: npt.NDArray[np.int32],
    posting_priors: npt.NDArray[np.float32],
    posting_flags: Bytes | None = None,
    *,
    stops: Sequence[str] = (),
    plurals: Mapping[str, str] | None = None,
    inflection: Inflection = "english",
) -> MatcherIndex:
    """Compile aliases.

    Args:
        surfaces: Distinct surface keys, as `surface_key` makes them, in the order of their bytes.
        posting_starts: ``[surfaces + 1]`` where each one's candidates begin.
        posting_entities: Entity rows, in the order to be kept.
        posting_priors: P(entity | surface).
        posting_flags: Bits of `openmofi.entities.kernels_candidates`; by default none is set.
        stops: Keys that consume their words without being a mention; they may be aliases too.
        plurals: Irregular plural to singular, one folded word each.
        inflection: ``english`` also finds the last word's regular plural; ``none`` does not.

    Raises:
        ValueError: A surface has no word, more than `MAX_TOKENS`, or one of over 32 kB.
    """
    keys = surfaces if isinstance(surfaces, pa.Array) else text_array(surfaces)
    barred = text_array(sorted(set(stops) - {""}))
    keys = keys.cast(pa.large_string())
    names = pa.concat_arrays([keys, barred.filter(pa.array(~_member(barred, keys)))])
    is_stop = _member(names, barred)
    sequences = _number_all(names)
    _check(sequences)
    longer = np.zeros(len(sequences.words), np.bool_)
    hashes, prefixes = hash_sequences(sequences.ids, sequences.starts, sequences.lengths, longer)
    single, several = _order(sequences, hashes)
    records, buckets = _records(sequences, several, hashes, is_stop, len(single))
    word_records, word_buckets = _word_records(sequences)
    without = np.full(len(names) - len(keys), posting_starts[-1])  # stop phrases that are no alias
    all_starts = np.concatenate((posting_starts, without))
    starts, taken = chosen_rows(all_starts, np.concatenate((single, several)))
    return MatcherIndex(
        word_buckets=word_buckets,
        word_records=word_records,
        word_facts=_facts(sequences, single, is_stop, longer),
        slots=_slots(hashes[several], np.unique(prefixes)),
        buckets=buckets,
        records=records,
        posting_starts=_narrow(starts),
        posting_entities=np.asarray(posting_entities, np.int32)[taken],
        posting_priors=np.asarray(posting_priors, np.float32)[taken],
        posting_flags=_taken_flags(posting_flags, taken),
        tables=unicode_tables(),
        max_tokens=int(sequences.lengths.max(initial=0)),
        id_bytes=sequences.id_bytes,
        space=sequences.space,
        plurals=dict(plurals or {}),
        inflection=inflection,
    )


def _check(sequences: _Sequences) -> None:
    lengths = sequences.lengths
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= MAX_TOKENS:
        raise ValueError(f"a surface must have 1 to {MAX_TOKENS} words")
    longest = pc.max(pc.binary_length(sequences.words)).as_py()
    if longest is not None and longest > MAX_KEY_BYTES:
        raise ValueError(f"a word must have at most {MAX_KEY_BYTES} bytes")


def _order(sequences: _Sequences, hashes: Hashes) -> tuple[Ints, Ints]:
    """Keys of one word by the word; keys of several by their hash."""
    single = np.flatnonzero(sequences.lengths == 1)
    several = np.flatnonzero(sequences.lengths > 1)
    words = sequences.ids[sequences.starts[single]]
    return (
        single[np.argsort(words, kind="stable")],
        several[np.argsort(hashes[several], kind="stable")],
    )


def _number_all(names: pa.Array) -> _Sequences:
    """Cut all keys; number the distinct words and gaps by their hashes."""
    chunks, lengths = [pa.array([], pa.large_string()).dictionary_encode()], [np.zeros(0, np.int64)]
    for begin in range(0, len(names), _BATCH):
        batch = names.slice(begin, _BATCH)
        data, bounds, counts = spell(tokenize(batch).arrays, len(batch))
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
        strings = pa.Array.from_buffers(pa.large_string(), len(bounds) - 1, buffers)
        chunks.append(strings.dictionary_encode())
        lengths.append(counts)
    encoded = pa.chunked_array(chunks).unify_dictionaries()
    distinct = encoded.chunk(len(chunks) - 1).dictionary
    data, starts = string_buffers(distinct)
    hashes = hash_words(data, starts)
    order = np.argsort(hashes, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    found = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    all_lengths = np.concatenate(lengths)
    sizes = np.maximum(2 * all_lengths - 1, 0)
    return _Sequences(
        words=distinct.take(pa.array(order)),
        hashes=hashes[order],
        ids=rank[found],
        starts=np.cumsum(sizes) - sizes,
        lengths=all_lengths,
    )


def _word_records(sequences: _Sequences) -> tuple[Bytes, npt.NDArray[Any]]:
    data, starts = string_buffers(sequences.words)
    places = starts - starts[0] + HEADER * np.arange(len(starts))
    records = np.empty(int(places[-1]), np.uint8)
    write_words(sequences.hashes, data, starts, records)
    return records, _buckets(sequences.hashes, places, _WORDS_PER_BUCKET, 0)


def _records(
    sequences: _Sequences, several: Ints, hashes: Hashes, stops: Bools, first: int
) -> tuple[Bytes, npt.NDArray[Any]]:
    """Records of the aliases of several words, and the buckets that point into them."""
    ids, starts, lengths = sequences.ids, sequences.starts, sequences.lengths
    id_bytes, space = sequences.id_bytes, sequences.space
    sizes = measure_sequences(ids, starts, lengths, several, id_bytes, space)
    places = np.concatenate(([0], np.cumsum(sizes)))
    records = np.empty(int(places[-1]), np.uint8)
    write_sequences(ids, starts, lengths, several, stops, id_bytes, space, records)
    return records, _buckets(hashes[several], places, _ALIASES_PER_BUCKET, first)


def _buckets(hashes: Hashes, places: Ints, per_bucket: int, first: int) -> npt.NDArray[Any]:
    """Number of the first record of each bucket, and where it lies."""
    bits = max(1, (len(hashes) // per_bucket).bit_length())
    bucket = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    begins = np.concatenate(([0], np.cumsum(np.bincount(bucket, minlength=1 << bits))))
    return _narrow(np.stack((begins + first, places[begins]), axis=1))


def _facts(
    sequences: _Sequences, single: Ints, stops: Bools, longer: Bools
) -> npt.NDArray[np.int32]:
    facts = longer.astype(np.int32) * WORD_CONTINUES
    words = sequences.ids[sequences.starts[single]]
    alone = (np.arange(len(single), dtype=np.int32) + 1) << WORD_SHIFT
    facts[words] |= alone | stops[single].astype(np.int32) * WORD_STOPS
    return facts


def _slots(hashes: Hashes, prefixes: Hashes) -> Bytes:
    entries = _SLOTS_PER_ENTRY * (len(hashes) + len(prefixes))
    slots = np.zeros(1 << max(6, entries.bit_length() - 2), dtype=np.uint8)
    shift = hash_shift(4 * len(slots))
    fill_slots(slots, shift, hashes, ENDS)
    fill_slots(slots, shift, prefixes, CONTINUES)
    return slots


def _taken_flags(flags: Bytes | None, taken: Ints) -> Bytes:
    return np.zeros(len(taken), np.uint8) if flags is None else flags[taken]


def _narrow(numbers: Ints) -> npt.NDArray[Any]:
    """As 32 bits where that is enough: half the memory."""
    fits = int(numbers.max(initial=0)) < 1 << 32
    return numbers.astype(np.uint32) if fits else numbers.astype(np.int64)


def _member(names: pa.Array, among: pa.Array) -> Bools:
    found = pc.is_in(names, value_set=among)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)
