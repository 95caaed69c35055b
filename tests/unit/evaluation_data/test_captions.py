"""Scope: Karpathy's JSON with COCO's and Flickr30k's images, on small made folders."""

import pytest

from openmofi.errors import InputError
from openmofi.evaluation_data.layouts import read_evaluation_data
from support.evaluation_layouts import karpathy_row, write_coco, write_json, write_picture


@pytest.mark.parametrize("given", [".", "dataset_coco.json"])
def test_coco_is_its_test_split_with_five_captions_an_image(tmp_path, given):
    write_coco(tmp_path, 4, captions=7)
    found = read_evaluation_data(tmp_path / given)
    assert [path.name for path in found.images.paths] == [
        f"COCO_val2014_{number:012}.jpg" for number in range(4)
    ]
    assert found.captions.owners.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert found.captions.texts[5:7] == ["picture 1, told 0", "picture 1, told 1"]
    assert len(found.images.class_names) == 1


def test_flickr30k_names_files_alone_in_a_folder_beside_the_json(tmp_path):
    write_picture(tmp_path / "flickr30k-images" / "1007129816.jpg", (9, 99, 200))
    (tmp_path / "another").mkdir()
    write_json(tmp_path / "dataset_flickr30k.json", [karpathy_row("1007129816.jpg", [" a hat "])])
    found = read_evaluation_data(tmp_path)
    assert found.images.paths[0].parent.name == "flickr30k-images"
    assert found.captions.texts == ["a hat"]


def test_cocos_images_may_lie_in_a_folder_of_another_name(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "val2014").rename(tmp_path / "pictures")
    found = read_evaluation_data(tmp_path)
    assert {path.parent.name for path in found.images.paths} == {"pictures"}


def test_other_captions_are_other_data(tmp_path):
    write_coco(tmp_path)
    before = read_evaluation_data(tmp_path).images.digest
    text = (tmp_path / "dataset_coco.json").read_text()
    (tmp_path / "dataset_coco.json").write_text(text.replace("told 3", "said 3"))
    assert read_evaluation_data(tmp_path).images.digest != before


def test_a_json_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"captions file not found: .*coco\.json"):
        read_evaluation_data(tmp_path / "coco.json")
