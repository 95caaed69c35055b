"""Scope: ImageNet's folders, on small made ones."""

import pytest

from openmofi.errors import InputError
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.evaluation_data.parts import read_part
from support.evaluation_layouts import SYNSETS, write_imagenet


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
