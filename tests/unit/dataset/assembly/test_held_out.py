"""Samples that evaluation holds too, against all pairs."""

import numpy as np
import pyarrow as pa
import pytest

from openmofi.dataset.assembly import held_out
from openmofi.dataset.assembly.held_out import HeldOut, near_any


def flipped(rng: np.random.Generator, value: int, bits: int) -> int:
    return value ^ sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False))


def planted(seed: int) -> tuple[list[int], list[int]]:
    """Hashes at 0 to 17 bits of others, some of them twice, and a crowd that shares its bands."""
    rng = np.random.default_rng(seed)
    others = [int(one) for one in rng.integers(0, 2**64, 30, dtype=np.uint64)]
    others += [0, 2**64 - 1, 1 << 63, *range(1, 12)]
    hashes = [flipped(rng, one, bits) for one in others for bits in range(18)]
    return hashes + hashes[:20], others


@pytest.mark.parametrize("bits", [0, 1, 4, 5, 8, 16])
@pytest.mark.parametrize("compared", [1, 7, 1 << 22])
def test_near_hashes_are_those_of_all_pairs(
    bits: int, compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "_COMPARED", compared)
    hashes, others = planted(bits)
    expected = [any((one ^ other).bit_count() <= bits for other in others) for one in hashes]
    found = near_any(np.array(hashes, np.uint64), np.array(others, np.uint64), bits)
    assert found.tolist() == expected
    assert 0 < sum(expected) < len(hashes)


def test_nothing_is_near_nothing() -> None:
    some, none = np.array([1, 2], np.uint64), np.zeros(0, np.uint64)
    assert near_any(some, none, 4).tolist() == [False, False]
    assert near_any(none, some, 4).tolist() == []


def test_bytes_or_hash_hold_a_sample_out_and_nulls_do_not() -> None:
    ids = pa.chunked_array([["a", None, "b"], ["c", "d"]], pa.string())
    hashes = pa.chunked_array([[None, 0, 1], [0b111, None]], pa.uint64())
    evaluation = HeldOut(("a", "x"), np.array([0], np.uint64), 1)
    assert evaluation.flags(ids, hashes).tolist() == [True, True, True, False, False]
    by_bytes = HeldOut(("a", "x"), np.array([0], np.uint64), None)
    assert by_bytes.flags(ids, hashes).tolist() == [True, False, False, False, False]
    assert not HeldOut().flags(ids, hashes).any()
