"""The matcher's compiled form: keys by hash with the strings beside them, as mapped arrays."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from openmofi.entities.arrays import map_array
from openmofi.entities.index_checks import array_fault, damaged, table_fault
from openmofi.entities.kernels_hash import Bytes, Hashes, Ints
from openmofi.entities.kernels_index import fill_slots, hash_keys, write_records
from openmofi.entities.kernels_match import CONTINUES, ENDS, HEADER, STOP, Index
from openmofi.entities.text import string_buffers, text_array, tokenize
from openmofi.entities.unicode_tables import UnicodeTables, unicode_tables
from openmofi.errors import InputError

FORMAT = 2
HEAD = "matcher.json"

Inflection = Literal["english", "none"]

_BATCH = 50_000  # keys folded at a time
_SLOTS_PER_ENTRY = 8  # a look-up that finds nothing stops in the bitmap 7 times of 8
_KEYS_PER_BUCKET = 2
MAX_TOKENS = 64  # of an alias: the search has a bit for each


@dataclass(frozen=True)
class MatcherIndex:
    """Aliases and stop phrases, sorted by (hash, key).

    Args:
        slots: ``[2^n / 4]`` two bits a slot, by the top n bits of a hash: an alias ends here, a
            longer one begins so.
        buckets: ``[2^m + 1, 2]`` by the top m bits of a hash: first alias of the bucket, and where
            its record begins.
        records: One a key: 4 bytes of its hash, 2 of its length and the stop bit, its UTF-8. A
            stop phrase consumes its words without being a mention.
        posting_starts: ``[aliases + 1]`` where each alias's candidates begin.
        posting_entities: Entity rows, the likeliest of an alias first.
        posting_priors: P(entity | surface), the same order.
        tables: How keys were folded; texts are folded so too.
        max_tokens: Tokens of the longest alias.
        plurals: Irregular plural to singular, one word each.
        inflection: Whose rules read other plurals.
    """

    slots: Bytes
    buckets: npt.NDArray[Any]
    records: Bytes
    posting_starts: npt.NDArray[Any]
    posting_entities: npt.NDArray[np.int32]
    posting_priors: npt.NDArray[np.float32]
    tables: UnicodeTables
    max_tokens: int
    plurals: Mapping[str, str]
    inflection: Inflection

    def __len__(self) -> int:
        return len(self.posting_starts) - 1

    def key(self, alias: int) -> str:
        """The surface key of an alias."""
        return self._record(alias)[1].decode("utf-8", "replace")

    def is_stop(self, alias: int) -> bool:
        """Whether the alias consumes its words without being a mention."""
        return bool(self._record(alias)[0] & STOP)

    def _record(self, alias: int) -> tuple[int, bytes]:
        bucket = bisect_right(self.buckets[:, 0], alias) - 1  # numpy would copy the column
        first, place = self.buckets[bucket].tolist()
        for _ in range(alias - first):
            if not 0 <= place < len(self.records):
                raise damaged()
            place += HEADER + (self._header(place) & ~STOP)
        header, begin = self._header(place), place + HEADER
        return header, self.records[begin : begin + (header & ~STOP)].tobytes()

    def _header(self, place: int) -> int:
        return int.from_bytes(self.records[place + HEADER - 2 : place + HEADER].tobytes(), "little")

    @property
    def searched(self) -> Index:
        """What the compiled search reads."""
        return Index(
            slots=self.slots,
            slot_shift=_shift(4 * len(self.slots)),
            buckets=self.buckets,
            bucket_shift=_shift(len(self.buckets) - 1),
            records=self.records,
            size=len(self),
        )

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` file an array and ``matcher.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in _TYPES} | self.tables._asdict()
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        head = {
            "format": FORMAT,
            "inflection": self.inflection,
            "max_tokens": self.max_tokens,
            "plurals": dict(sorted(self.plurals.items())),
        }
        text = json.dumps(head, ensure_ascii=False, indent=1)
        (folder / HEAD).write_text(text, encoding="utf-8")


_WIDE = ("u4", "i8")
_TYPES: Mapping[str, tuple[str, ...]] = {
    "slots": ("u1",),
    "buckets": _WIDE,
    "records": ("u1",),
    "posting_starts": _WIDE,
    "posting_entities": ("i4",),
    "posting_priors": ("f4",),
}
_TABLE_TYPES: Mapping[str, tuple[str, ...]] = {
    "fold": ("u4",),
    "kinds": ("u1",),
    "orders": ("u1",),
    "expansion_starts": ("i8",),
    "expansions": ("u4",),
}


def load_index(folder: Path) -> MatcherIndex:
    """Map the arrays of ``folder`` into memory; pages are read when needed and shared.

    Raises:
        InputError: A file is missing, cut short, damaged, or of another format version.
    """
    longest, plurals, inflection = _read_head(folder / HEAD)
    arrays = {
        name: map_array(folder / f"{name}.npy", types, columns=2 if name == "buckets" else 0)
        for name, types in _TYPES.items()
    }
    tables = UnicodeTables(
        **{name: map_array(folder / f"{name}.npy", types) for name, types in _TABLE_TYPES.items()}
    )
    index = MatcherIndex(
        **arrays, tables=tables, max_tokens=longest, plurals=plurals, inflection=inflection
    )
    fault = table_fault(tables) or array_fault(**arrays)
    if fault:
        raise InputError(f"{folder}: the matcher is damaged ({fault}.npy); build it again")
    return index


def _read_head(path: Path) -> tuple[int, dict[str, str], Inflection]:
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        version = head["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is missing or damaged ({reason}); build it again") from None
    if version != FORMAT:
        raise InputError(
            f"{path} has format {version!r:.20}, this release reads {FORMAT}; build it again"
        )
    match head:
        case {
            "max_tokens": int(longest),
            "inflection": "english" | "none" as inflection,
            "plurals": dict(plurals),
        } if 0 <= longest <= MAX_TOKENS and all(isinstance(x, str) for x in plurals.values()):
            return longest, plurals, inflection
    raise InputError(f"{path} is damaged (its values are no matcher's); build it again")


def build_index(
    surfaces: pa.Array | Sequence[str],
    posting_starts: Ints,
    posting_entities: npt.NDArray[np.int32],
    posting_priors: npt.NDArray[np.float32],
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
        stops: Keys that consume their words without being a mention; they may be aliases too.
        plurals: Irregular plural to singular, one folded word each.
        inflection: ``english`` also finds the last word's regular plural; ``none`` does not.
    """
    keys = surfaces if isinstance(surfaces, pa.Array) else text_array(surfaces)
    barred = text_array(sorted(set(stops) - {""}))
    extra = barred.filter(pa.array(~_member(barred, keys.cast(pa.large_string()))))
    names = pa.concat_arrays([keys.cast(pa.large_string()), extra])
    counts = np.concatenate((np.diff(posting_starts), np.zeros(len(extra), np.int64)))
    hashes, prefixes, longest = _hash_all(names)
    order = np.argsort(hashes, kind="stable")  # keys with one hash stay in their order
    taken, sizes = _gather(posting_starts, counts, order)
    sorted_names = names.take(pa.array(order))
    hashes = hashes[order]
    records, buckets = _records(sorted_names, hashes, _member(sorted_names, barred))
    return MatcherIndex(
        slots=_slots(hashes, prefixes),
        buckets=buckets,
        records=records,
        posting_starts=_narrow(np.concatenate(([0], np.cumsum(sizes)))),
        posting_entities=np.asarray(posting_entities, np.int32)[taken],
        posting_priors=np.asarray(posting_priors, np.float32)[taken],
        tables=unicode_tables(),
        max_tokens=longest,
        plurals=dict(plurals or {}),
        inflection=inflection,
    )


def _hash_all(names: pa.Array) -> tuple[Hashes, Hashes, int]:
    whole, prefixes, longest = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], 0
    for begin in range(0, len(names), _BATCH):
        batch = names.slice(begin, _BATCH)
        found, before, tokens = hash_keys(tokenize(batch).arrays, len(batch))
        whole.append(found)
        prefixes.append(before)
        longest = max(longest, tokens)
    return np.concatenate(whole), np.unique(np.concatenate(prefixes)), longest


def _slots(hashes: Hashes, prefixes: Hashes) -> Bytes:
    entries = _SLOTS_PER_ENTRY * (len(hashes) + len(prefixes))
    slots = np.zeros(1 << max(6, entries.bit_length() - 2), dtype=np.uint8)
    shift = _shift(4 * len(slots))
    fill_slots(slots, shift, hashes, ENDS)
    fill_slots(slots, shift, prefixes, CONTINUES)
    return slots


def _shift(size: int) -> np.uint64:
    """By how much a hash is shifted to be a place in ``size``, a power of two."""
    return np.uint64(64 - (size.bit_length() - 1))


def _records(
    names: pa.Array, hashes: Hashes, stops: npt.NDArray[np.bool_]
) -> tuple[Bytes, npt.NDArray[Any]]:
    """The keys' records and the buckets that point into them."""
    data, starts = string_buffers(names)
    places = starts - starts[0] + HEADER * np.arange(len(starts))
    records = np.empty(int(places[-1]), np.uint8)
    write_records(hashes, data, starts, stops, records)
    bits = max(1, (len(hashes) // _KEYS_PER_BUCKET).bit_length())
    bucket = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    first = np.concatenate(([0], np.cumsum(np.bincount(bucket, minlength=1 << bits))))
    return records, _narrow(np.stack((first, places[first]), axis=1))


def _gather(starts: Ints, counts: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Postings in a new order of keys: their old places, and how many each key has."""
    sizes = counts[order]
    begins = np.concatenate((starts[:-1], np.full(len(counts) - len(starts) + 1, starts[-1])))
    shift = np.repeat(begins[order] - (np.cumsum(sizes) - sizes), sizes)
    return np.arange(len(shift)) + shift, sizes


def _narrow(starts: Ints) -> npt.NDArray[Any]:
    """As 32 bits where that is enough: half the memory."""
    fits = int(starts.max(initial=0)) < 1 << 32
    return starts.astype(np.uint32) if fits else starts.astype(np.int64)


def _member(names: pa.Array, among: pa.Array) -> npt.NDArray[np.bool_]:
    found = pc.is_in(names, value_set=among)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)
