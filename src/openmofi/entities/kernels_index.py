"""Compiled: what building an index takes a loop for."""

import numpy as np

from openmofi.entities.compiled import compiled
from openmofi.entities.kernels_hash import SEED, Bools, Bytes, Hashes, Int, Ints, extend, finish
from openmofi.entities.kernels_match import HEADER, STOP
from openmofi.entities.kernels_text import TokenArrays


@compiled
def hash_keys(tokens: TokenArrays, texts: Int) -> tuple[Hashes, Hashes, Int]:
    """Hash of each text as a whole, of all shorter beginnings, and the tokens of the longest."""
    whole = np.zeros(texts, np.uint64)
    prefixes = np.empty(len(tokens.starts), np.uint64)
    count, longest, token = 0, 0, 0
    while token < len(tokens.starts):
        text, first = tokens.texts[token], token
        state, place = SEED, tokens.starts[token]
        while token < len(tokens.starts) and tokens.texts[token] == text:
            state = extend(state, tokens.codes, place, tokens.ends[token])
            place = tokens.ends[token]
            prefixes[count] = finish(state)
            count += 1
            token += 1
        count -= 1  # the last is the whole
        whole[text] = prefixes[count]
        longest = max(longest, token - first)
    return whole, prefixes[:count], longest


@compiled
def fill_slots(slots: Bytes, shift: Int, hashes: Hashes, flag: Int) -> None:
    """Set a bit for each of some hashes."""
    for i in range(len(hashes)):
        slot = hashes[i] >> shift
        slots[slot >> np.uint64(2)] |= np.uint8(flag << np.int64((slot & np.uint64(3)) * 2))


@compiled
def write_records(hashes: Hashes, data: Bytes, starts: Ints, stops: Bools, records: Bytes) -> None:
    """One record a key: the low half of its hash, length and stop bit, its UTF-8."""
    place = 0
    for alias in range(len(hashes)):
        begin, end = starts[alias], starts[alias + 1]
        for byte in range(4):
            records[place + byte] = np.uint8(
                (hashes[alias] >> np.uint64(8 * byte)) & np.uint64(255)
            )
        header = (end - begin) | (STOP if stops[alias] else 0)
        records[place + 4], records[place + 5] = np.uint8(header & 255), np.uint8(header >> 8)
        place += HEADER
        for i in range(begin, end):
            records[place] = data[i]
            place += 1
