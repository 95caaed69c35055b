"""The matcher's compiled form: words and sequences of words by hash, as mapped arrays."""

import functools
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from openmofi.entities.arrays import map_array
from openmofi.entities.index_checks import array_fault, damaged, table_fault
from openmofi.entities.kernels_hash import Bytes, fixed
from openmofi.entities.kernels_match import Index
from openmofi.entities.kernels_sequences import HAS_GAPS, STOPS, WORD_SHIFT, WORD_STOPS
from openmofi.entities.kernels_words import HEADER, Numbers, Words
from openmofi.entities.unicode_tables import UnicodeTables
from openmofi.errors import InputError

FORMAT = 3
HEAD = "matcher.json"
MAX_TOKENS = 64  # of an alias: the search has a bit for each

Inflection = Literal["english", "none"]


@dataclass(frozen=True)
class MatcherIndex:
    """Aliases and stop phrases: those of one word by word, then the longer ones by hash.

    Words are numbered by hash; what stands between two words counts as one too.

    Args:
        word_buckets: ``[2^k + 1, 2]`` by the top k bits of a hash: first word of the bucket, and
            where its record begins.
        word_records: One a word: 4 bytes of its hash, 2 of its length, its UTF-8.
        word_facts: ``[words]`` the alias that the word is alone, plus 1, and two bits: whether
            that is a stop phrase, and whether a longer alias begins with the word.
        slots: ``[2^n / 4]`` two bits a slot, by the top n bits of the hash of several words: an
            alias ends here, a longer one begins so.
        buckets: ``[2^m + 1, 2]`` as ``word_buckets``: first alias, and where its record begins.
        records: One an alias of several words: a byte with their number and two bits (it is a
            stop phrase, it has other gaps than single spaces), the words, the gaps if so.
        posting_starts: ``[aliases + 1]`` where each alias's candidates begin.
        posting_entities: Entity rows, the likeliest of an alias first.
        posting_priors: P(entity | surface), the same order.
        posting_flags: Bits of `openmofi.entities.kernels_candidates`: the alias is written with a
            small letter, it is the entity's name, a spelling variant, no kind of its head.
        tables: How keys were folded; texts are folded so too.
        max_tokens: Tokens of the longest alias.
        id_bytes: Bytes of a word's number in ``records``.
        space: Number of the single space, -1 if no alias has one.
        plurals: Irregular plural to singular, one word each.
        inflection: Whose rules read other plurals.
    """

    word_buckets: npt.NDArray[Any]
    word_records: Bytes
    word_facts: Numbers
    slots: Bytes
    buckets: npt.NDArray[Any]
    records: Bytes
    posting_starts: npt.NDArray[Any]
    posting_entities: npt.NDArray[np.int32]
    posting_priors: npt.NDArray[np.float32]
    posting_flags: Bytes
    tables: UnicodeTables
    max_tokens: int
    id_bytes: int
    space: int
    plurals: Mapping[str, str]
    inflection: Inflection

    def __len__(self) -> int:
        return len(self.posting_starts) - 1

    def key(self, alias: int) -> str:
        """The surface key of an alias."""
        if alias < len(self._single):
            return self._word(int(self._single[alias]))
        head, numbers = self._record(alias)
        count = (head & 0x3F) + 1
        words = [self._word(number) for number in numbers[:count]]
        gaps = [self._word(number) for number in numbers[count:]] or [" "] * (count - 1)
        return words[0] + "".join(gap + word for gap, word in zip(gaps, words[1:], strict=True))

    def is_stop(self, alias: int) -> bool:
        """Whether the alias consumes its words without being a mention."""
        if alias < len(self._single):
            return bool(self.word_facts[self._single[alias]] & WORD_STOPS)
        return bool(self._record(alias)[0] & STOPS)

    @functools.cached_property
    def _single(self) -> npt.NDArray[np.int64]:
        """The word of each alias of one word."""
        return np.flatnonzero(self.word_facts >> WORD_SHIFT)

    def _record(self, alias: int) -> tuple[int, list[int]]:
        """First byte and numbers of an alias of several words."""
        bucket = bisect_right(self.buckets[:, 0], alias) - 1  # numpy would copy the column
        first, place = self.buckets[bucket].tolist()
        if first > alias:
            raise damaged()
        for step in range(alias - first + 1):
            if not 0 <= place < len(self.records):
                raise damaged()
            head = int(self.records[place])
            count = (head & 0x3F) + 1
            size = self.id_bytes * (2 * count - 1 if head & HAS_GAPS else count)
            if step < alias - first:
                place += 1 + size
        data = self.records[place + 1 : place + 1 + size].tobytes()
        if len(data) != size:
            raise damaged()
        pieces = range(0, len(data), self.id_bytes)
        return head, [int.from_bytes(data[i : i + self.id_bytes], "little") for i in pieces]

    def _word(self, word: int) -> str:
        bucket = bisect_right(self.word_buckets[:, 0], word) - 1
        first, place = self.word_buckets[bucket].tolist()
        if first > word:
            raise damaged()
        for step in range(word - first + 1):
            begin = place + HEADER
            if not 0 <= place <= begin <= len(self.word_records):
                raise damaged()
            length = int.from_bytes(self.word_records[begin - 2 : begin].tobytes(), "little")
            if step < word - first:
                place = begin + length
        return self.word_records[begin : begin + length].tobytes().decode("utf-8", "replace")

    @property
    def searched(self) -> Index:
        """What the compiled search reads."""
        words = Words(
            buckets=fixed(self.word_buckets),
            shift=hash_shift(len(self.word_buckets) - 1),
            records=fixed(self.word_records),
            size=len(self.word_facts),
        )
        return Index(
            words=words,
            facts=fixed(self.word_facts),
            slots=fixed(self.slots),
            slot_shift=hash_shift(4 * len(self.slots)),
            buckets=fixed(self.buckets),
            shift=hash_shift(len(self.buckets) - 1),
            records=fixed(self.records),
            id_bytes=self.id_bytes,
            space=self.space,
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
            "id_bytes": self.id_bytes,
            "inflection": self.inflection,
            "max_tokens": self.max_tokens,
            "plurals": dict(sorted(self.plurals.items())),
            "space": self.space,
        }
        text = json.dumps(head, ensure_ascii=False, indent=1)
        (folder / HEAD).write_text(text, encoding="utf-8")


def hash_shift(size: int) -> np.uint64:
    """By how much a hash is shifted to be a place in ``size``, a power of two."""
    return np.uint64(64 - (size.bit_length() - 1))


_WIDE = ("u4", "i8")
_TYPES: Mapping[str, tuple[str, ...]] = {
    "word_buckets": _WIDE,
    "word_records": ("u1",),
    "word_facts": ("i4",),
    "slots": ("u1",),
    "buckets": _WIDE,
    "records": ("u1",),
    "posting_starts": _WIDE,
    "posting_entities": ("i4",),
    "posting_priors": ("f4",),
    "posting_flags": ("u1",),
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
    head = _read_head(folder / HEAD)
    arrays: dict[str, Any] = {
        name: map_array(folder / f"{name}.npy", types, columns=2 if "buckets" in name else 0)
        for name, types in _TYPES.items()
    }
    tables = UnicodeTables(
        **{name: map_array(folder / f"{name}.npy", types) for name, types in _TABLE_TYPES.items()}
    )
    index = MatcherIndex(**arrays, tables=tables, **head)
    fault = table_fault(tables) or array_fault(**arrays)
    if fault:
        raise InputError(f"{folder}: the matcher is damaged ({fault}.npy); build it again")
    return index


def _read_head(path: Path) -> dict[str, Any]:
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
            "id_bytes": 3 | 4,
            "max_tokens": int(longest),
            "inflection": "english" | "none",
            "plurals": dict(plurals),
            "space": int(space),
        } if 0 <= longest <= MAX_TOKENS and -1 <= space < 1 << 31:
            if all(isinstance(one, str) for one in plurals.values()):
                del head["format"]
                return dict(head)
    raise InputError(f"{path} is damaged (its values are no matcher's); build it again")
