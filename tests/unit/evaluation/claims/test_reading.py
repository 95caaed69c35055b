"""What is written on a picture to see whether a model reads."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.claims.measured import Seeds
from benchmarks.claims.reading import DRAWINGS, mixed_up, tell, word_on
from openmofi.evaluation.config import EvaluateConfig
from openmofi.evaluation.scores import Scores


@given(st.text(alphabet="abc dé", max_size=12))
def test_mixing_keeps_letters_and_spaces_where_they_are(text: str) -> None:
    mixed = mixed_up(text)
    assert Counter(mixed) == Counter(text)
    assert [c.isspace() for c in mixed] == [c.isspace() for c in text]
    assert mixed == mixed_up(text)
    assert (mixed == text) == (len(set(text) - {" "}) < 2)


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [("other", "dog"), ("own", "cat"), ("other, mixed up", mixed_up("dog")),
     ("own, mixed up", mixed_up("cat"))],
)  # fmt: skip
def test_each_drawing_has_its_word(drawing: str, expected: str) -> None:
    bench: Any = SimpleNamespace(
        images=SimpleNamespace(labels=np.array([0]), class_names=["cat", "dog"]),
        targets=np.array([1, 0]),
    )
    assert word_on(bench, drawing, 0) == expected


def test_losses_and_gains_are_told_with_their_sign(capsys: pytest.CaptureFixture[str]) -> None:
    shares = dict(zip(DRAWINGS, (0.2, 0.5, 0.9, 0.6), strict=True))
    columns = {name: np.full(100, share) for name, share in shares.items()}
    groups = np.repeat(np.arange(20), 5)
    config = EvaluateConfig(bootstrap_samples=100)
    tell("CLIP", Seeds([Scores(columns, groups=groups)] * 2), config)
    told = capsys.readouterr().out
    assert "lost by reading    +30.0 (+30.0 to +30.0); seeds +30.0, +30.0" in told
    assert "gained by reading  +30.0" in told
