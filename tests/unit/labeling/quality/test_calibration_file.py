"""CALIBRATION.json: whole, strict, and known by its content."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError, StorageError
from openmofi.labeling.quality.calibration import (
    Calibration,
    Interval,
    as_json,
    read_calibration,
    write_calibration,
)

CALIBRATION = Calibration(
    cut=0.25,
    precision_wished=0.9,
    confidence=0.95,
    precision=Interval(0.94, 0.91, 0.96),
    recall=Interval(0.8, 0.75, 0.84),
    without_cut=Interval(0.7, 0.66, 0.74),
    pairs=500,
    right=350,
    kept=298,
    kept_right=280,
    images=400,
    made_with={"model": "m", "label": {"template": "{name}"}},
    sample="a digest",
    curve=((0.1, 500, 0.7, 0.66, 0.74, 1.0), (0.25, 298, 0.94, 0.91, 0.96, 0.8)),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_calibration(CALIBRATION, tmp_path / "new" / "c.json")
    assert read_calibration(str(tmp_path / "new" / "c.json")) == CALIBRATION


def test_it_is_read_from_a_store_too(tmp_path: Path) -> None:
    write_calibration(CALIBRATION, tmp_path / "c.json")
    assert read_calibration((tmp_path / "c.json").as_uri()) == CALIBRATION


def test_a_store_that_lacks_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*c.json"):
        read_calibration((tmp_path / "c.json").as_uri())


def test_the_digest_is_of_the_content_and_outlives_the_file(tmp_path: Path) -> None:
    write_calibration(CALIBRATION, tmp_path / "c.json")
    assert read_calibration(str(tmp_path / "c.json")).digest == CALIBRATION.digest
    assert dataclasses.replace(CALIBRATION, cut=0.26).digest != CALIBRATION.digest


def test_a_path_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"calibration not found: .*nothing.json"):
        read_calibration(str(tmp_path / "nothing.json"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "is no calibration: it is not JSON"),
        (b"\xff", "is no calibration: it is not JSON"),
        (b"[]", "is no calibration: it has no kind"),
        (b'{"kind": "labels"}', "is no calibration: its kind is 'labels'"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "c.json").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_calibration(str(tmp_path / "c.json"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cut": 1.5}, "'cut' must lie between -1 and 1, got 1.5"),
        ({"cut": "0.2"}, "'cut' must be a number, got '0.2'"),
        ({"cut": True}, "'cut' must be a number, got True"),
        ({"confidence": 95}, "'confidence' must lie between 0 and 1, got 95"),
        ({"pairs": -1}, "'pairs' must be 0 or more, got -1"),
        ({"pairs": 2.0}, "'pairs' must be an integer, got 2.0"),
        ({"kept": 501}, "'kept' is 501 of 500 'pairs'; it cannot be more"),
        ({"kept_right": 299}, "'kept_right' is 299 of 298 'kept'"),
        ({"right": 279}, "'kept_right' is 280 of 279 'right'"),
        ({"precision": {"estimate": 0.9, "low": 0.8}}, "precision lacks the field 'high'"),
        (
            {"recall": {"estimate": 0.9, "low": 0.95, "high": 1}},
            "recall: 'estimate' 0.9 does not lie between 'low' 0.95 and 'high' 1",
        ),
        ({"without_cut": {}}, "without_cut lacks the field 'precision'"),
        ({"made_with": None}, "'made_with' must be an object, got None"),
        ({"sample": ""}, "'sample' is empty"),
        ({"curve": [[1, 2]]}, "curve, point 1 must be a list of cut, kept"),
        ({"curve": [[0, 1, "x", 0, 0, 0]]}, "point 1: 'precision' must be a number, got 'x'"),
        ({"cuts": 1}, "unknown field 'cuts'; known: .*cut, "),
    ],
)
def test_a_bad_field_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "c.json").write_text(json.dumps({**as_json(CALIBRATION), **change}))
    with pytest.raises(InputError, match=message):
        read_calibration(str(tmp_path / "c.json"))


@pytest.mark.parametrize("name", sorted(as_json(CALIBRATION).keys() - {"kind"}))
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    content = as_json(CALIBRATION)
    del content[name]
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"lacks the field '{name}'"):
        read_calibration(str(tmp_path / "c.json"))


def test_not_a_number_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({**as_json(CALIBRATION), "cut": float("nan")}))
    with pytest.raises(InputError, match="'cut' must be a number, got nan"):
        read_calibration(str(tmp_path / "c.json"))


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*c.json"):
        write_calibration(CALIBRATION, tmp_path / "file" / "c.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
