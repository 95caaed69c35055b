"""Scope: evaluation sets in the real ones' layouts, on small made folders."""

import json

import numpy as np
import pytest

from openmofi.errors import InputError
from openmofi.evaluation.layouts import (
    read_evaluation_data,
    read_part,
    taken_out,
    without_copies,
)
from openmofi.image_set import read_image_set
from support.evaluation import write_image_set
from support.evaluation_layouts import (
    karpathy_row,
    write_coco,
    write_gpr1200,
    write_imagenet,
    write_json,
    write_picture,
)

SYNSETS = ["n01440764", "n01443537", "n02012849"]


def test_class_folders_are_the_set_that_assembly_keeps_clear_of(tmp_path):
    folder = write_image_set(tmp_path / "set")
    found = read_evaluation_data(folder)
    assert found.images.digest == read_image_set(folder).digest
    assert list(found.keys) == ["c0", "c1", "c2"]
    assert (found.train, found.captions) == (None, None)
    assert read_evaluation_data(folder.as_uri()).images.digest == found.images.digest


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


def test_imagenet_is_tested_on_val_and_learns_from_train(tmp_path):
    found = read_evaluation_data(write_imagenet(tmp_path, SYNSETS))
    assert list(found.keys) == SYNSETS
    assert found.images.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert {path.parent.parent.name for path in found.images.paths} == {"val"}
    assert found.train == tmp_path / "train"
    part = read_part(found.train, found.keys, role="train_data")
    assert part.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_imagenet_without_training_images_is_tested_on_all_the_same(tmp_path):
    assert read_evaluation_data(write_imagenet(tmp_path, SYNSETS, train=0)).train is None


@pytest.mark.parametrize("name", ["LOC_synset_mapping.txt", "synset_words.txt"])
def test_synset_files_name_imagenets_classes_by_their_first_word(tmp_path, name):
    write_imagenet(tmp_path, SYNSETS)
    (tmp_path / name).write_text("n01440764 tench, Tinca tinca\nn02012849 crane\n\n")
    found = read_evaluation_data(tmp_path)
    assert list(found.images.class_names) == ["tench", "n01443537", "crane"]
    (tmp_path / name).write_text("n01440764 tench\nn014437 goldfish\n")
    with pytest.raises(InputError, match=rf"{name}, line 2: not 'n01440764 tench, …' but"):
        read_evaluation_data(tmp_path)


def test_classes_csv_has_the_last_word(tmp_path):
    write_imagenet(tmp_path, SYNSETS)
    (tmp_path / "synset_words.txt").write_text("n01440764 tench\n")
    (tmp_path / "val" / "classes.csv").write_text("folder,name\nn01440764,my tench\n")
    found = read_evaluation_data(tmp_path)
    assert list(found.images.class_names) == ["my tench", "n01443537", "n02012849"]


def test_the_full_thousand_get_openais_names(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    synsets = [f"n{number:08}" for number in range(1000)]
    for synset in synsets:
        (tmp_path / "val" / synset).mkdir(parents=True)
        (tmp_path / "val" / synset / "a.JPEG").write_bytes(synset.encode())
    found = read_evaluation_data(tmp_path)
    assert list(found.images.class_names) == list(open_clip.IMAGENET_CLASSNAMES)
    assert found.images.class_names[0] == "tench"


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


def test_a_json_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"captions file not found: .*coco\.json"):
        read_evaluation_data(tmp_path / "coco.json")


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
