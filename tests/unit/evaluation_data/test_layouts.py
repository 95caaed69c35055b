"""Scope: layouts told apart, and what is in none of them."""

import pytest

from openmofi.errors import InputError
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.evaluation_data.layouts import read_evaluation_data
from support.evaluation import write_image_set
from support.evaluation_layouts import (
    SYNSETS,
    karpathy_row,
    write_coco,
    write_gpr1200,
    write_imagenet,
    write_json,
    write_picture,
)


def test_class_folders_are_what_is_left(tmp_path):
    folder = write_image_set(tmp_path / "set")
    found = read_evaluation_data(folder)
    assert found.images.digest == read_class_folders(folder).digest
    assert list(found.keys) == ["c0", "c1", "c2"]
    assert (found.train, found.captions) == (None, None)
    assert read_evaluation_data(folder.as_uri()).images.digest == found.images.digest


def flat_and_nameless(folder):
    write_gpr1200(folder, [1])
    write_picture(folder / "cat.jpg", (1, 2, 3))


def flat_val(folder):
    write_imagenet(folder, SYNSETS, val=0)
    write_picture(folder / "val" / "ILSVRC2012_val_00000001.JPEG", (1, 2, 3))


def without_images(folder):
    write_json(folder / "dataset_coco.json", [karpathy_row("a.jpg", ["b"], filepath="val2014")])


def one_image_missing(folder):
    (write_coco(folder) / "val2014" / "COCO_val2014_000000000002.jpg").unlink()


def rows(*given):
    return lambda folder: write_json(folder / "dataset_coco.json", given)


def text(content):
    def write(folder):
        folder.mkdir(exist_ok=True)
        (folder / "dataset_coco.json").write_text(content)

    return write


def both(folder):
    write_coco(folder)
    write_json(folder / "dataset_flickr30k.json", [])


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda folder: None, "evaluation set not found: .* is not a folder"),
        (lambda folder: folder.mkdir(), "holds no class folder with images"),
        (flat_and_nameless, r"cat\.jpg does not begin with a class number and an underscore"),
        (flat_val, r"val holds images without class folders; sort them into val/<synset>/"),
        (without_images, r"images of .*dataset_coco\.json are not found: val2014/a\.jpg"),
        (one_image_missing, r"names an image that is not there: .*000000000002\.jpg"),
        (text("{"), r"dataset_coco\.json is not JSON"),
        (text("[]"), "not in Karpathy's layout: it lacks the list 'images'"),
        (rows({"file_name": "a.jpg", "id": 3}), "no image of the split 'test': Karpathy's JSON"),
        (rows({"split": "test", "filename": "a.jpg"}), "'a.jpg' has no 'sentences'"),
        (rows({"split": "test", "filename": "a.jpg", "sentences": [{"tokens": []}]}),
         "a sentence of 'a.jpg' has no 'raw' text"),
        (rows({"split": "test", "sentences": [{"raw": "b"}]}), "has no 'filename'"),
        (both, r"holds dataset_coco\.json and dataset_flickr30k\.json; give one by its name"),
    ],
)  # fmt: skip
def test_a_wrong_layout_is_told_in_one_line_that_names_the_file(tmp_path, write, says):
    folder = tmp_path / "set"
    write(folder)
    with pytest.raises(InputError, match=says) as caught:
        read_evaluation_data(folder)
    assert "\n" not in str(caught.value)
