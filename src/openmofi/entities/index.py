"""The matcher's compiled form: sorted hashes with the strings beside them, as mapped arrays."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openmofi.entities.arrays import map_array
from openmofi.entities.hashing import Hashes, RunningHash, mix
from openmofi.entities.text import Ints, tokenize
from openmofi.errors import InputError

FORMAT = 1
ENDS, CONTINUES = 1, 2  # bits of a slot: an alias ends here; a longer one begins so

_BATCH = 20_000  # aliases folded at a time
_SLOTS_PER_ENTRY = 8  # a look-up that finds nothing stops in the bitmap 7 times of 8


@dataclass(frozen=True)
class MatcherIndex:
    """Aliases and stop phrases sorted by (hash, key).

    Args:
        hashes: ``[aliases]`` mixed hash of each surface key.
        key_starts: ``[aliases + 1]`` where each key begins in ``key_bytes``.
        key_bytes: All keys in UTF-8.
        stops: ``[aliases]`` 1 for phrases that consume their words without being a mention.
        slots: ``[2^n]`` the bits `ENDS` and `CONTINUES` by the top n bits of a hash.
        posting_starts: ``[aliases + 1]`` where each alias's candidates begin.
        posting_entities: Entity rows, the likeliest of an alias first.
        posting_priors: P(entity | surface), the same order.
        max_tokens: Tokens of the longest alias.
        plurals: Irregular plural to singular, one word each.
    """

    hashes: Hashes
    key_starts: Ints
    key_bytes: npt.NDArray[np.uint8]
    stops: npt.NDArray[np.uint8]
    slots: npt.NDArray[np.uint8]
    posting_starts: Ints
    posting_entities: npt.NDArray[np.int32]
    posting_priors: npt.NDArray[np.float32]
    max_tokens: int
    plurals: Mapping[str, str]

    def key(self, alias: int) -> str:
        """The surface key of an alias."""
        start, end = self.key_starts[alias : alias + 2].tolist()
        return self.key_bytes[start:end].tobytes().decode("utf-8", "surrogatepass")

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` file an array and ``matcher.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        head = {
            "format": FORMAT,
            "max_tokens": self.max_tokens,
            "plurals": dict(sorted(self.plurals.items())),
        }
        text = json.dumps(head, ensure_ascii=False, indent=1)
        (folder / "matcher.json").write_text(text, encoding="utf-8")


_ARRAYS = [f.name for f in fields(MatcherIndex) if f.name not in ("max_tokens", "plurals")]


def load_index(folder: Path) -> MatcherIndex:
    """Map the arrays of ``folder`` into memory; pages are read when needed and shared.

    Raises:
        InputError: A file is missing, cut short, or of another format version.
    """
    path = folder / "matcher.json"
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        if head["format"] != FORMAT:
            raise InputError(f"{path} has format {head['format']}, this release reads {FORMAT}")
        longest, plurals = int(head["max_tokens"]), dict(head["plurals"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is missing or damaged ({reason}); build it again") from None
    arrays = {name: map_array(folder / f"{name}.npy") for name in _ARRAYS}
    return MatcherIndex(max_tokens=longest, plurals=plurals, **arrays)


def build_index(
    keys: Sequence[str],
    postings: Sequence[Sequence[tuple[int, float]]],
    *,
    stops: Sequence[str] = (),
    plurals: Mapping[str, str] | None = None,
) -> MatcherIndex:
    """Compile aliases.

    Args:
        keys: Distinct surface keys, as `surface_key` makes them.
        postings: For each key its candidates (entity row, prior), in the order to be kept.
        stops: Keys that consume their words without being a mention; they may be aliases too.
        plurals: Irregular plural to singular, one folded word each.
    """
    by_key: dict[str, Sequence[tuple[int, float]]] = dict(zip(keys, postings, strict=True))
    barred = set(stops)
    names = [name for name in dict.fromkeys([*by_key, *stops]) if name]
    hashes, prefixes, longest = _hash_keys(names)
    order = np.array(sorted(range(len(names)), key=lambda i: (hashes[i], names[i])), np.int64)
    hashes = hashes[order]
    names = [names[i] for i in order]
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    flat = [posting for name in names for posting in by_key.get(name, ())]
    return MatcherIndex(
        hashes=hashes,
        key_starts=_offsets([len(data) for data in encoded]),
        key_bytes=np.frombuffer(b"".join(encoded), dtype=np.uint8),
        stops=np.array([name in barred for name in names], dtype=np.uint8),
        slots=_slots(hashes, prefixes),
        posting_starts=_offsets([len(by_key.get(name, ())) for name in names]),
        posting_entities=np.array([entity for entity, _ in flat], dtype=np.int32),
        posting_priors=np.array([prior for _, prior in flat], dtype=np.float32),
        max_tokens=longest,
        plurals=dict(plurals or {}),
    )


def _hash_keys(keys: Sequence[str]) -> tuple[Hashes, Hashes, int]:
    """Hash of each key, hashes of all their proper prefixes, and the tokens of the longest."""
    whole, prefixes, longest = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], 0
    for begin in range(0, len(keys), _BATCH):
        tokens = tokenize(keys[begin : begin + _BATCH])
        running = RunningHash(tokens.codes)
        first_of_text = np.flatnonzero(np.diff(tokens.texts, prepend=-1))
        first = first_of_text[
            np.searchsorted(first_of_text, np.arange(len(tokens.texts)), "right") - 1
        ]
        found = mix(running.stretch(tokens.starts[first], tokens.ends))
        last = np.append(tokens.texts[1:] != tokens.texts[:-1], True)
        whole.append(found[last])
        prefixes.append(found[~last])
        longest = max(longest, int(np.max(np.bincount(tokens.texts), initial=0)))
    return np.concatenate(whole), np.unique(np.concatenate(prefixes)), longest


def _slots(hashes: Hashes, prefixes: Hashes) -> npt.NDArray[np.uint8]:
    entries = _SLOTS_PER_ENTRY * (len(hashes) + len(prefixes))
    bits = max(8, entries.bit_length())
    slots = np.zeros(1 << bits, dtype=np.uint8)
    shift = np.uint64(64 - bits)
    slots[hashes >> shift] |= ENDS
    slots[prefixes >> shift] |= CONTINUES
    return slots


def _offsets(lengths: Sequence[int]) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
