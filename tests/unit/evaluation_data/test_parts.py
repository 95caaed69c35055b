"""Scope: images to learn from or to search, of other folders or taken out of the set."""

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.evaluation_data.parts import read_part, taken_out, without_copies
from support.evaluation_layouts import SYNSETS, write_imagenet, write_picture


def test_a_parts_classes_are_matched_by_folder_and_unknown_ones_come_behind(tmp_path):
    write_imagenet(tmp_path, ["b", "d"], train=1)
    write_picture(tmp_path / "train" / "a" / "1.jpg", (0, 0, 0))
    part = read_part(tmp_path / "train", ["b", "c", "d"], role="train_data")
    told = {
        path.parent.name: int(label) for path, label in zip(part.paths, part.labels, strict=True)
    }
    assert told == {"b": 0, "d": 2, "a": 3}


def test_a_draw_of_each_class_depends_on_file_names_alone(tmp_path):
    write_imagenet(tmp_path / "one", SYNSETS, train=9)
    part = read_part(tmp_path / "one" / "train", SYNSETS, role="train_data", per_class=3)
    names = [path.name for path in part.paths]
    assert np.bincount(part.labels).tolist() == [3, 3, 3]
    assert names == sorted(names)
    assert [name[10:] for name in names[:3]] != ["0.JPEG", "1.JPEG", "2.JPEG"]  # not the first ones
    write_imagenet(tmp_path / "two", SYNSETS, train=9)
    again = read_part(tmp_path / "two" / "train", SYNSETS, role="train_data", per_class=3)
    assert [path.name for path in again.paths] == names


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("nowhere", "train_data not found: .*nowhere is not a folder"),
        ("empty", "train_data .*empty holds no class folder with images"),
        ("other", "shares no class with the evaluation set: it has 'x', that has 'n01440764'"),
    ],
)
def test_an_unusable_part_is_told(tmp_path, folder, says):
    (tmp_path / "empty").mkdir()
    write_picture(tmp_path / "other" / "x" / "1.jpg", (0, 0, 0))
    with pytest.raises(InputError, match=says):
        read_part(tmp_path / folder, SYNSETS, role="train_data")


def test_images_that_are_tested_on_are_not_learned_from(tmp_path, capsys):
    found = read_evaluation_data(write_imagenet(tmp_path, SYNSETS))
    copied = tmp_path / "train" / SYNSETS[1] / "copy.JPEG"
    copied.write_bytes(found.images.paths[4].read_bytes())
    part = read_part(found.train, found.keys, role="train_data")
    kept = without_copies(part, found.images, role="train_data")
    assert copied in part.paths
    assert copied not in kept.paths
    assert (len(part.paths), len(kept.paths), len(kept.labels)) == (13, 12, 12)
    assert kept.digest == read_part_without(copied, found).digest
    assert "1 images of the train_data are tested on: left out" in capsys.readouterr().err


def read_part_without(path, found):
    path.unlink()
    return read_part(found.train, found.keys, role="train_data")


def test_what_is_taken_out_leaves_each_class_one_image(tmp_path):
    write_imagenet(tmp_path, SYNSETS, val=3)
    write_picture(tmp_path / "val" / "z_lone" / "1.jpg", (0, 0, 0))
    images = read_evaluation_data(tmp_path).images
    for wanted, expected in ((1, [1, 1, 1, 0]), (2, [2, 2, 2, 0]), (9, [2, 2, 2, 0])):
        taken = taken_out(images, wanted)
        assert np.bincount(images.labels[taken], minlength=4).tolist() == expected
