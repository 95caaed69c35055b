"""What becomes of samples, against a list."""

import numpy as np
import pytest

from openmofi.dataset.assembly.fates import Fates


def test_the_first_cause_stays_and_all_add_up() -> None:
    fates = Fates(6)
    fates.drop(slice(1, 4), "too_small", np.array([True, False, True]))
    fates.drop(np.array([1, 2]), "duplicate_exact")
    fates.drop(np.array([False, False, True, False, False, True]), "rare_entity")
    codes, names = fates.causes(slice(0, 6))
    expected = ["kept", "too_small", "duplicate_exact", "too_small", "kept", "rare_entity"]
    assert [names[code] for code in codes] == expected
    assert fates.counts() == {"duplicate_exact": 1, "kept": 2, "rare_entity": 1, "too_small": 2}
    assert fates.left(slice(3, 6)).tolist() == [False, True, False]


def test_splits_count_what_is_kept() -> None:
    fates = Fates(4)
    fates.validation[:] = [True, False, True, False]
    fates.drop(np.array([2]), "rare_entity")
    assert fates.splits() == {"train": 2, "validation": 1}


@pytest.mark.parametrize("samples", [0, 3])
def test_a_cause_that_nobody_has_is_not_counted(samples: int) -> None:
    fates = Fates(samples)
    fates.drop(np.zeros(samples, np.bool_), "no_entity")
    assert fates.counts() == ({"kept": samples} if samples else {})
