"""Scope: what docker/ does in a build: layers, and the machine code that goes along."""

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text()
CONSTRAINTS = (REPOSITORY / "constraints.txt").read_text()


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "docker" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("image", "extra"), [("curation", "curate"), ("training", "train")])
def test_an_image_and_the_shared_one_hold_an_extra_and_no_more(image: str, extra: str) -> None:
    layers = load("requirements").layers(PYPROJECT, CONSTRAINTS)
    project = tomllib.loads(PYPROJECT)["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["pipelines"], *extras[extra]}
    assert {*layers["shared"], *layers[image]} == wanted
    assert not {*layers["shared"]} & {*layers[image]}


def test_the_layer_of_torch_is_pinned_exactly_and_whole() -> None:
    torch = load("requirements").layers(PYPROJECT, CONSTRAINTS)["torch"]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in torch)
    heavy = {line for line in CONSTRAINTS.splitlines() if line.startswith(("nvidia-", "cuda-"))}
    names = {line.split("==")[0] for line in torch}
    assert heavy <= set(torch)
    assert {"torch", "torchvision"} <= names
    assert not names & {"torchmetrics", "triton"}


def test_machine_code_of_the_build_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "built"
    (built / "numba-1").mkdir(parents=True)
    (built / "numba-1" / "code").write_text("code")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    load("compiled_code").take_over(str(built))
    assert (tmp_path / "cache" / "numba-1" / "code").read_text() == "code"
    assert {path.name for path in tmp_path.iterdir()} == {"built", "cache"}


def test_a_cache_that_is_there_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("built", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "built" / "code").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    load("compiled_code").take_over(str(tmp_path / "built"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "built").mkdir()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "absent" / "cache"))
    load("compiled_code").take_over(str(tmp_path / "built"))
    assert not (tmp_path / "absent").exists()
