"""Bounds on heads' scores and closeness to evaluation images, against a loop over rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from openmofi.dataset.assembly.image_rules import (
    BoundedHead,
    Flags,
    ImageRules,
    read_heads,
    refused,
)
from openmofi.dataset.config import HeadRule
from openmofi.errors import InputError
from openmofi.records import from_rows, image_embeddings_schema
from support.heads import write_head

ROWS = [(1.0, 0.0), None, (0.6, 0.8), (0.0, 1.0), None, (-1.0, 0.0)]


def embeddings(given=ROWS):
    rows = [
        {"embedding": list(one or (0.0, 0.0)), "status": "ok" if one else "failed"} for one in given
    ]
    return from_rows(rows, image_embeddings_schema(2))


def refusals(rules: Mapping[str, HeadRule]) -> list[bool]:
    heads: Sequence[BoundedHead] = tuple(read_heads(rules, "").values())
    near, scores, embedded = ImageRules(heads).known(embeddings())
    assert not near.any()
    assert scores.shape == (4, len(heads))
    assert embedded.tolist() == [one is not None for one in ROWS]
    return refused(heads, scores, embedded).tolist()


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, None), (None, 0.5), (-0.5, 0.5), (0.6, 0.6), (-9, 9)]
)
def test_a_head_refuses_what_is_out_of_bounds_or_has_no_score(
    tmp_path: Path, low: float | None, high: float | None
) -> None:
    file = write_head(tmp_path / "first.safetensors", [1.0, 0.0])  # the first number
    rules = {"first": HeadRule(file=str(file), min=low, max=high)}
    expected = [
        one is None
        or (low is not None and np.float16(one[0]) < low)
        or (high is not None and np.float16(one[0]) > np.float16(high))
        for one in ROWS
    ]
    if (low, high) == (0.6, 0.6):
        expected[2] = True  # 0.6 of 16 bits is not 0.6
    assert refusals(rules) == expected


def test_any_head_refuses_and_a_bound_is_allowed_itself(tmp_path: Path) -> None:
    files = [write_head(tmp_path / f"{n}.safetensors", np.eye(2)[n], bias=[0.2]) for n in range(2)]
    rules = {
        "first": HeadRule(file=str(files[0]), max=1.2),
        "second": HeadRule(file=str(files[1]), min=0.2),
    }
    assert float(np.float32(1.2)) > 1.2  # so comparing with 64 bits would refuse the first row
    assert refusals(rules) == [False, True, False, False, True, False]
    rules["second"] = HeadRule(file=str(files[1]), min=0.3)
    assert refusals(rules) == [True, True, False, False, True, True]


def test_images_near_any_evaluation_image_are_flagged_whatever_their_number() -> None:
    held_out = np.array([[0.0, 1.0]] + [[1.0, 0.0]] * 50, np.float16)

    def near(cosine: float, rows=ROWS) -> list[bool]:
        found: Flags = ImageRules(held_out=held_out, cosine=cosine).known(embeddings(rows))[0]
        return found.tolist()

    assert near(0.9) == [True, False, False, True, False, False]
    assert near(0.9, [*ROWS, *ROWS[:1] * 50]) == [*near(0.9), *[True] * 50]
    assert near(0.75) == [True, False, True, True, False, False]


def test_without_heads_nothing_is_refused() -> None:
    _, scores, embedded = ImageRules().known(embeddings())
    assert not refused((), scores, embedded).any()


def test_nothing_is_needed_without_a_rule() -> None:
    assert not ImageRules().needed


def test_an_output_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    file = write_head(tmp_path / "two.safetensors", np.eye(2), outputs="left, right")
    described = [
        read_heads({"h": HeadRule(file=str(file), output=output, max=0.5)}, "")["h"].describe()
        for output in ("right", 1)
    ]
    assert described[0] == described[1]
    assert described[0]["output"] == "right"
    with pytest.raises(InputError, match=r"has no output 'up'; it has 2: left, right"):
        read_heads({"h": HeadRule(file=str(file), output="up", max=0.5)}, "")


def test_a_head_of_another_model_is_refused(tmp_path: Path) -> None:
    file = write_head(tmp_path / "head.safetensors", [1.0, 0.0], encoder="a" * 32)
    rules = {"h": HeadRule(file=str(file), min=0)}
    assert read_heads(rules, "a" * 32)
    with pytest.raises(InputError, match=r"was fitted on the model aaa.* are of bbb"):
        read_heads(rules, "b" * 32)
