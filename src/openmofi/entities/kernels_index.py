"""Compiled: what building an index takes a loop for."""

import numpy as np
import numpy.typing as npt

from openmofi.entities.compiled import compiled
from openmofi.entities.kernels_hash import (
    SEED,
    Bools,
    Bytes,
    Hashes,
    Int,
    Ints,
    decode,
    extend,
    finish,
)  # fmt: skip
from openmofi.entities.kernels_sequences import HAS_GAPS, STOPS, append, start_with
from openmofi.entities.kernels_text import TokenArrays
from openmofi.entities.kernels_words import HEADER


@compiled
def spell(tokens: TokenArrays, texts: Int) -> tuple[Bytes, Ints, Ints]:
    """Words and gaps of all texts in turn, as UTF-8: word, gap, word of one text, then the next.

    Returns:
        The bytes; where each string begins; how many tokens each text has.
    """
    codes, starts, ends, owners = tokens.codes, tokens.starts, tokens.ends, tokens.texts
    data, count, place = np.empty(4 * len(codes), np.uint8), 0, 0
    bounds, lengths = np.zeros(2 * len(starts) + 1, np.int64), np.zeros(texts, np.int64)
    for token in range(len(starts)):
        lengths[owners[token]] += 1
        if token and owners[token] == owners[token - 1]:
            place = _encode(codes, ends[token - 1], starts[token], data, place)
            count += 1
            bounds[count] = place
        place = _encode(codes, starts[token], ends[token], data, place)
        count += 1
        bounds[count] = place
    return data[:place], bounds[: count + 1], lengths


@compiled
def _encode(codes: npt.NDArray[np.uint32], start: Int, end: Int, data: Bytes, place: Int) -> Int:
    for i in range(start, end):
        code = np.int64(codes[i])
        if code < 0x80:
            data[place] = code
            place += 1
            continue
        extra = 1 if code < 0x800 else 2 if code < 0x10000 else 3
        data[place] = (0xFF00 >> (extra + 1)) & 0xFF | code >> (6 * extra)
        for back in range(1, extra + 1):
            data[place + back] = 0x80 | (code >> (6 * (extra - back))) & 0x3F
        place += extra + 1
    return place


@compiled
def hash_words(data: Bytes, starts: Ints) -> Hashes:
    """Hash of each string of UTF-8, as of its code points."""
    found = np.empty(len(starts) - 1, np.uint64)
    one = np.empty(1, np.uint32)
    for i in range(len(found)):
        state, place = SEED, starts[i]
        while place < starts[i + 1]:
            code, place = decode(data, place, starts[i + 1])
            one[0] = code
            state = extend(state, one, 0, 1)
        found[i] = finish(state)
    return found


@compiled
def write_words(hashes: Hashes, data: Bytes, starts: Ints, records: Bytes) -> None:
    """One record a word: the low half of its hash, its length, its UTF-8."""
    place = 0
    for word in range(len(hashes)):
        begin, end = starts[word], starts[word + 1]
        for byte in range(4):
            records[place + byte] = np.uint8((hashes[word] >> np.uint64(8 * byte)) & np.uint64(255))
        records[place + 4], records[place + 5] = (end - begin) & 255, (end - begin) >> 8
        place += HEADER
        for i in range(begin, end):
            records[place] = data[i]
            place += 1


@compiled
def hash_sequences(
    ids: npt.NDArray[np.int32], starts: Ints, lengths: Ints, longer: Bools
) -> tuple[Hashes, Hashes]:
    """Hash of each sequence of several words, and of all its beginnings of two words or more.

    Marks in ``longer`` the words that such a sequence begins with.
    """
    whole = np.zeros(len(lengths), np.uint64)
    prefixes, count = np.empty(max(1, len(ids) // 2), np.uint64), 0
    for text in range(len(lengths)):
        if lengths[text] < 2:
            continue
        place = starts[text]
        longer[ids[place]] = True
        state = start_with(ids[place])
        for step in range(1, lengths[text]):
            state = append(state, ids[place + 2 * step - 1], ids[place + 2 * step])
            if step + 1 < lengths[text]:
                prefixes[count] = finish(state)
                count += 1
        whole[text] = finish(state)
    return whole, prefixes[:count]


@compiled
def fill_slots(slots: Bytes, shift: Int, hashes: Hashes, flag: Int) -> None:
    """Set a bit for each of some hashes."""
    for i in range(len(hashes)):
        slot = hashes[i] >> shift
        slots[slot >> np.uint64(2)] |= np.uint8(flag << np.int64((slot & np.uint64(3)) * 2))


@compiled
def measure_sequences(
    ids: npt.NDArray[np.int32], starts: Ints, lengths: Ints, order: Ints, id_bytes: Int, space: Int
) -> Ints:
    """Bytes of the record of each sequence, in the order given."""
    sizes = np.empty(len(order), np.int64)
    for i in range(len(order)):
        text = order[i]
        plain = _is_plain(ids, starts[text], lengths[text], space)
        sizes[i] = 1 + id_bytes * (lengths[text] if plain else 2 * lengths[text] - 1)
    return sizes


@compiled
def write_sequences(
    ids: npt.NDArray[np.int32], starts: Ints, lengths: Ints, order: Ints, stops: Bools,
    id_bytes: Int, space: Int, records: Bytes,
) -> None:  # fmt: skip
    """One record a sequence; see `openmofi.entities.index.MatcherIndex`."""
    place = 0
    for text in order:
        begin, count = starts[text], lengths[text]
        plain = _is_plain(ids, begin, count, space)
        head = (count - 1) | (0 if plain else HAS_GAPS) | (STOPS if stops[text] else 0)
        records[place] = head
        place += 1
        for step in range(count):
            place = _write_number(records, place, ids[begin + 2 * step], id_bytes)
        for step in range(0 if plain else count - 1):
            place = _write_number(records, place, ids[begin + 2 * step + 1], id_bytes)


@compiled
def _is_plain(ids: npt.NDArray[np.int32], begin: Int, count: Int, space: Int) -> Int:
    for step in range(1, count):
        if ids[begin + 2 * step - 1] != space:
            return False
    return True


@compiled
def _write_number(records: Bytes, place: Int, number: Int, id_bytes: Int) -> Int:
    for byte in range(id_bytes):
        records[place + byte] = (number >> (8 * byte)) & 255
    return place + id_bytes
