"""Wrappers called as Python functions, with real artifacts."""

import json
from pathlib import Path

import pytest
from kfp import dsl
from PIL import Image

from components.check_data import check_data
from components.ingest_pairs import ingest_pairs
from components.plan_shards import plan_shards
from components.publish_dataset import publish_dataset
from openmofi.dataset.versions.published import resolve
from openmofi.errors import InputError
from support.dataset_versions import some, write_version


@pytest.fixture
def artifacts(tmp_path):
    return {
        "manifest": dsl.Dataset(uri=str(tmp_path / "manifest.json")),
        "metrics": dsl.Metrics(uri=str(tmp_path / "metrics")),
    }


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (32, 24), (80 * number, 20, 20)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"picture number {number}")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "broken.txt").write_text("picture that does not decode")
    return folder


def test_plan_shards_returns_groups_and_shows_the_plan(tmp_path, pictures, artifacts):
    # KFP hands whole numbers on as floats.
    groups = plan_shards.python_func(
        root=str(tmp_path / "root"), source=str(pictures), groups=2.0, config={}, **artifacts
    )
    assert len(groups) == 1
    assert groups[0].startswith(artifacts["manifest"].metadata["uri"])
    assert json.loads(Path(artifacts["manifest"].path).read_text())["kind"] == "source_plan"


def test_ingest_pairs_shows_its_counts(tmp_path, pictures, artifacts):
    [group] = plan_shards.python_func(
        root=str(tmp_path / "root"), source=str(pictures), **artifacts
    )
    uri = ingest_pairs.python_func(group=group, workers=1.0, **artifacts)
    assert artifacts["manifest"].metadata["uri"] == uri
    assert artifacts["manifest"].metadata["counts"] == {"ok": 3, "corrupt_image": 1}
    assert artifacts["metrics"].metadata["counts/ok"] == 3.0


def test_an_error_of_the_library_comes_through_as_it_is(tmp_path, artifacts):
    with pytest.raises(InputError, match="nowhere"):
        plan_shards.python_func(
            root=str(tmp_path / "root"), source=str(tmp_path / "nowhere"), **artifacts
        )


@pytest.mark.parametrize(("kept", "passed"), [(90, True), (0, False)])
def test_check_data_returns_the_decision_and_shows_its_manifest(tmp_path, artifacts, kept, passed):
    dataset = write_version(tmp_path / "root", "d1", {"a": some(kept, no_entity=100 - kept)})
    assert check_data.python_func(dataset=dataset, **artifacts) is passed
    assert artifacts["manifest"].metadata["kind"] == "data_decision"
    assert artifacts["metrics"].metadata["metrics/kept_fraction"] == kept / 100


def test_publish_dataset_lets_the_name_stand_for_the_version(tmp_path, artifacts):
    first = write_version(tmp_path / "root", "first", {"a": some(2)})
    second = write_version(tmp_path / "root", "second", {"a": some(3)}, parent=first)
    for dataset in (first, second, second):
        assert publish_dataset.python_func(dataset=dataset, name="mine", **artifacts) == dataset
    assert resolve(f"{tmp_path / 'root'}@mine") == second
    assert artifacts["manifest"].metadata["uri"] == second
    assert artifacts["metrics"].metadata["counts/kept"] == 3.0
