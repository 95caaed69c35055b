"""Scope: evaluation sets and parents before a pipeline starts: read as its steps will read them."""

import pytest

from openmofi.dataset.versions.published import publish
from openmofi.errors import InputError, StorageError
from openmofi.storage import open_store
from openmofi.versions import write_manifest
from pipelines.preflight import check_inputs
from support.dataset_versions import some, write_version
from support.evaluation_layouts import KNOWN_LAYOUTS, known_coco, known_gpr1200
from support.tables import noise_jpeg

KEYS = ["evaluation_data", "assemble.evaluation_sets"]


def under(key, data):
    """A pipeline's parameters with the set under one key."""
    if key == "evaluation_data":
        return {"evaluation_data": str(data)}
    return {"assemble": {"evaluation_sets": [str(data)]}}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("write", KNOWN_LAYOUTS)
def test_every_layout_is_accepted(tmp_path, write, key):
    data = write(tmp_path / "set", [noise_jpeg(seed) for seed in range(4)], noise_jpeg(9))
    assert check_inputs(under(key, data)) == []


@pytest.mark.parametrize("key", KEYS)
def test_a_flat_folder_and_a_captions_file_are_accepted(tmp_path, key):
    pictures = [noise_jpeg(seed) for seed in range(4)]
    flat = known_gpr1200(tmp_path / "gpr", pictures, b"") / "images"
    captions = known_coco(tmp_path / "coco", pictures, noise_jpeg(9)) / "dataset_coco.json"
    assert check_inputs(under(key, flat)) == check_inputs(under(key, captions)) == []


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("made", "says"),
    [
        ((), "evaluation set not found: {} is not a folder"),
        (("",), "evaluation set {} holds no class folder with images"),
        (("val", "train"), "evaluation set {} holds no class folder with images"),
    ],
)
def test_a_missing_or_empty_folder_is_one_line_that_names_the_key(tmp_path, made, says, key):
    data = tmp_path / "set"
    for name in made:
        (data / name).mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        check_inputs(under(key, data))
    assert str(caught.value) == f"'{key}': {says.format(data)}"


def test_a_layout_that_is_wrong_is_told_with_the_key(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(noise_jpeg(1))
    with pytest.raises(InputError, match=r"^'evaluation_data': .*cat\.jpg does not begin with"):
        check_inputs({"evaluation_data": str(tmp_path), "assemble": {"seed": 1}})


def test_a_parent_by_its_name_may_be_missing_and_a_damaged_one_is_told(tmp_path):
    arguments = {"root": str(tmp_path), "parent": "published:main"}
    assert check_inputs(arguments) == []  # the first run
    uri = write_version(tmp_path, "old", {"a": some(2)})
    publish(uri, why="by hand")
    assert check_inputs(arguments) == []
    (tmp_path / "manifests/dataset/old.json").unlink()
    with pytest.raises(StorageError, match=r"manifests/dataset/old\.json"):
        check_inputs(arguments)


def test_a_parent_of_a_recut_lies_where_its_tables_lie(tmp_path):
    samples = write_manifest(open_store(str(tmp_path)), "samples", "s", {}).uri
    publish(write_version(tmp_path, "old", {"a": some(2)}), why="by hand")
    write_version(tmp_path, "old", {"a": some(2)}, format=1)
    with pytest.raises(InputError, match="is a data set of format 1"):
        check_inputs({"samples": [samples], "parent": "published:main"})


@pytest.mark.parametrize(
    ("parent", "says"),
    [
        ("published:a/b", "'a/b' is no name for a version"),
        ("ROOT@other", "nothing is published as 'other'"),
        ("ROOT/manifests/model/m.json", "is a manifest of 'model', and 'dataset' is needed"),
        ("main", "'main' is not a manifest"),
    ],
)
def test_a_wrong_parent_is_one_line(tmp_path, parent, says):
    with pytest.raises(InputError, match=says):
        check_inputs({"root": str(tmp_path), "parent": parent.replace("ROOT", str(tmp_path))})
