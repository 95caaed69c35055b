"""Parts of text vectors: found by key, copied by row, refused when damaged."""

import hashlib

import numpy as np
import pytest

from openmofi.errors import StorageError
from openmofi.labeling.text_parts import copy_vectors, match_parts, text_keys, write_part
from openmofi.storage import open_store

DIM = 4


class KeysOnly:
    """What a store offers that lets no object be read whole."""

    def __init__(self, store):
        self.list, self._store, self.most = store.list, store, 0

    def get_range(self, key, offset, length):
        self.most = max(self.most, offset + length)
        return self._store.get_range(key, offset, length)


@pytest.fixture
def store(root):
    return open_store(root)


def numbered_keys(*numbers):
    """Keys that sort as their numbers do; some end in zero bytes, which numpy's strings hide."""
    return np.frombuffer(b"".join(n.to_bytes(1, "big") * 2 + bytes(14) for n in numbers), "S16")


def vectors_of(*numbers):
    return np.array([[n, -n, n / 2, 1] for n in numbers], np.float16)


def write(store, *numbers, vectors=None):
    given = vectors_of(*numbers) if vectors is None else vectors
    write_part(store, "m", numbered_keys(*numbers), given)


def copied(store, rows_of_keys, wanted):
    """The table whose rows name keys by their place in ``wanted``."""
    inverse = np.array(rows_of_keys)
    counts = np.bincount(inverse, minlength=len(wanted))
    out = np.zeros((len(inverse), DIM), np.float16)
    matches = list(match_parts(store, "m", numbered_keys(*wanted)))
    starts = np.concatenate([[0], np.cumsum(counts)])
    copy_vectors(store, matches, starts, out, np.argsort(inverse, kind="stable"))
    return out


def parts(store):
    return [info.key for info in store.list("entity_texts/m/")]


def test_keys_are_128_bit_hashes_of_the_texts():
    texts = ["crane", "", "Löwe", "猫"]
    keys = text_keys(iter(texts))
    expected = b"".join(hashlib.blake2b(t.encode(), digest_size=16).digest() for t in texts)
    assert (keys.tobytes(), len(keys)) == (expected, 4)
    assert len(text_keys([])) == 0


def test_wanted_keys_are_found_in_whatever_part_they_stand(store):
    write(store, 1, 3, 5)
    write(store, 2, 4)
    wanted = numbered_keys(0, 2, 3, 5, 9)
    found = sorted(w for match in match_parts(store, "m", wanted) for w in match.wanted.tolist())
    assert found == [1, 2, 3]


def test_another_models_parts_are_not_looked_at(store):
    write_part(store, "other", numbered_keys(1), vectors_of(1))
    assert list(match_parts(store, "m", numbered_keys(1))) == []


def test_vectors_go_to_every_row_of_their_key(store):
    write(store, 1, 3, 5)
    write(store, 2, 4)
    rows = [2, 0, 1, 0, 2, 2]
    expected = vectors_of(*np.array([1, 4, 5])[rows])
    np.testing.assert_array_equal(copied(store, rows, [1, 4, 5]), expected)


def test_random_parts_equal_a_dictionary(store):
    generator = np.random.default_rng(0)
    known = {}
    for _ in range(20):
        numbers = np.unique(generator.integers(0, 200, 30))
        write(store, *numbers.tolist())
        known |= {n: vectors_of(n)[0] for n in numbers.tolist()}
    wanted = sorted(known)
    rows = generator.integers(0, len(wanted), 500)
    expected = np.array([known[wanted[row]] for row in rows])
    np.testing.assert_array_equal(copied(store, rows, wanted), expected)


def test_a_key_in_two_parts_is_read_from_the_first_by_name(store):
    write(store, 1, 2)
    write(store, 2, 3, vectors=vectors_of(2, 3) * 2)
    second_is_first = numbered_keys(3).tobytes() in store.get(parts(store)[0])
    expected = vectors_of(2) * (2 if second_is_first else 1)
    np.testing.assert_array_equal(copied(store, [0], [2]), expected)
    matches = list(match_parts(store, "m", numbered_keys(1, 2, 3)))
    assert sum(len(match.wanted) for match in matches) == 3


def test_two_runs_at_once_write_the_same_part(store):
    write(store, 1, 2)
    write(store, 1, 2, vectors=vectors_of(1, 2) * 2)  # as a GPU rounds otherwise
    assert len(parts(store)) == 1


def test_finding_reads_no_vectors(store):
    write_part(store, "m", numbered_keys(*range(100)), np.zeros((100, 1000), np.float16))
    reader = KeysOnly(store)
    [match] = match_parts(reader, "m", numbered_keys(7))
    assert (match.rows.tolist(), match.wanted.tolist()) == ([7], [0])
    assert reader.most < 40_000


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:40],
        lambda data: b"",
        lambda data: b"X" + data[1:],
        lambda data: data[:64] + b"X" + data[65:],
        lambda data: data[:8] + (2**63).to_bytes(8, "little") + data[16:],
    ],
    ids=["cut", "longer", "no head", "empty", "mark", "key", "count"],
)
def test_a_damaged_part_is_named_in_one_line(store, damage):
    write(store, 1, 2)
    [part] = parts(store)
    store.put(part, damage(store.get(part)))
    with pytest.raises(StorageError, match=rf"{part} is damaged; delete it") as caught:
        list(match_parts(store, "m", numbered_keys(1)))
    assert "\n" not in str(caught.value)


def test_parts_of_two_widths_are_refused(store):
    write(store, 1)
    write_part(store, "m", numbered_keys(2), np.zeros((1, DIM + 1), np.float16))
    with pytest.raises(StorageError, match=r"\.part has vectors of 5 numbers, .* have 4"):
        copied(store, [0, 1], [1, 2])
