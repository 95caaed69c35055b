"""Scope: evaluation sets before a pipeline starts: read as evaluation will read them."""

import pytest

from openmofi.errors import InputError
from pipelines.preflight import check_inputs
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
