"""Scope: GPR1200's flat folder, on small made ones."""

import json

import pytest

from openmofi.errors import InputError
from openmofi.evaluation_data.layouts import read_evaluation_data
from support.evaluation_layouts import write_gpr1200


def test_gpr1200s_label_is_the_number_before_the_first_underscore(tmp_path):
    folder = write_gpr1200(tmp_path / "images", [1199, 3, 200, 20])
    found = read_evaluation_data(folder)
    assert list(found.keys) == ["3", "20", "200", "1199"]  # by number, not by text
    assert found.images.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [path.name.partition("_")[0] for path in found.images.paths[::2]] == list(found.keys)
    assert list(found.images.domains) == ["Landmarks", "Landmarks", "Nature", "Faces"]


@pytest.mark.parametrize(
    ("number", "domain"),
    [(0, "Landmarks"), (199, "Landmarks"), (399, "Nature"), (400, "Sketches"), (600, "Objects"),
     (999, "Products"), (1000, "Faces")],
)  # fmt: skip
def test_gpr1200s_domain_is_the_number_over_two_hundred(tmp_path, number, domain):
    found = read_evaluation_data(write_gpr1200(tmp_path, [number], images=1))
    assert list(found.images.domains) == [domain]


def test_gpr1200_is_found_above_its_folder_of_images_and_named_by_its_json(tmp_path):
    write_gpr1200(tmp_path / "images", [7, 12])
    names = tmp_path / "GPR1200_categoryNumber_to_text.json"
    names.write_text(json.dumps({"7": "Brooklyn Bridge"}))
    above, inside = read_evaluation_data(tmp_path), read_evaluation_data(tmp_path / "images")
    assert above.images.digest == inside.images.digest
    assert list(above.images.class_names) == ["Brooklyn Bridge", "12"]
    names.write_text("[]")
    with pytest.raises(InputError, match=r"to_text\.json must hold one object"):
        read_evaluation_data(tmp_path)


def test_numbers_beyond_gpr1200s_have_no_domain(tmp_path):
    found = read_evaluation_data(write_gpr1200(tmp_path, [3, 1200]))
    assert list(found.images.domains) == ["", ""]
