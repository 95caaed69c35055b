"""Scope: openmofi.config: strict, and wrong in one line."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from openmofi.config import Section, parse_config, read_yaml
from openmofi.errors import InputError


class Inner(Section):
    rate: float = Field(0.5, gt=0, le=1)
    kind: Literal["cosine", "flat"] = "cosine"


class Outer(Section):
    steps: int = 10
    inner: Inner = Inner()
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> "Outer":
        if self.steps == 13:
            raise ValueError("steps and names do not fit")
        return self


def problem(data: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        parse_config(Outer, data, where="train.yaml")
    message = str(caught.value)
    assert message.startswith("train.yaml: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("data", [None, {}])
def test_nothing_given_means_defaults(data: dict[str, Any] | None) -> None:
    assert parse_config(Outer, data, where="x") == Outer()


def test_whole_floats_are_integers_again() -> None:
    # KFP hands every number over as a float.
    assert parse_config(Outer, {"steps": 4.0}, where="x").steps == 4
    assert "'steps'" in problem({"steps": 4.5})


def test_an_unknown_key_is_told_with_the_known_ones() -> None:
    assert "unknown key 'stepz'; known here: inner, names, steps" in problem({"stepz": 1})
    assert "unknown key 'inner.rte'; known here: kind, rate" in problem({"inner": {"rte": 1}})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"steps": "many"}, ["'steps'", "'many'"]),
        ({"inner": {"rate": 2}}, ["'inner.rate'", "less than or equal to 1", "2"]),
        ({"inner": {"kind": "step"}}, ["'inner.kind'", "cosine", "'step'"]),
        ({"names": [1]}, ["'names.0'"]),
        ({"steps": 13}, ["train.yaml: steps and names do not fit"]),
        ({"stepz": 1, "namez": 2}, ["and 1 more"]),
    ],
)
def test_a_wrong_value_is_told_with_its_field(data: dict[str, Any], said: list[str]) -> None:
    message = problem(data)
    assert [part for part in said if part not in message] == []


def test_a_parsed_config_cannot_be_changed() -> None:
    config = parse_config(Outer, {}, where="x")
    with pytest.raises(ValidationError, match="frozen"):
        config.steps = 3


def test_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("# a comment\nsteps: 3\ninner: {rate: 0.1}\n")
    assert read_yaml(path) == {"steps": 3, "inner": {"rate": 0.1}}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_yaml_is_an_empty_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert read_yaml(tmp_path / "c.yaml") == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: [1\nb: 2\n", "not valid YAML"),
        (b"\tsteps: 1", "not valid YAML"),
        (b"a: \xff\xfe", "not valid YAML"),
        (b"- 1\n- 2\n", "mapping at top level, not a list"),
        (b"just words", "mapping at top level, not a str"),
        (b"!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_wrong_yaml_is_told_with_its_file(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "c.yaml").write_bytes(data)
    with pytest.raises(InputError, match=said) as caught:
        read_yaml(tmp_path / "c.yaml")
    assert str(tmp_path / "c.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_yaml_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found: .*gone\.yaml"):
        read_yaml(tmp_path / "gone.yaml")
