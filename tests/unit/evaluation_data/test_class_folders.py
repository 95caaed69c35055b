"""Scope: a folder of class folders, and its digest."""

from pathlib import Path

import pytest

from openmofi.errors import InputError
from openmofi.evaluation_data.class_folders import read_class_folders
from openmofi.images import image_id
from openmofi.keys import hash_json


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


IMAGES: dict[str, bytes | str] = {"b_two/2.JPG": b"2", "b_two/1.png": b"1", "a/0.webp": b"0"}


def test_classes_and_images_come_sorted(tmp_path: Path) -> None:
    found = read_class_folders(write(tmp_path, {**IMAGES, "a/notes.txt": "", "stray.jpg": b"x"}))
    assert [p.relative_to(tmp_path).as_posix() for p in found.paths] == [
        "a/0.webp",
        "b_two/1.png",
        "b_two/2.JPG",
    ]
    assert found.labels.tolist() == [0, 1, 1]
    assert list(found.class_names) == ["a", "b two"]
    assert list(found.domains) == ["", ""]
    assert list(found.image_ids) == [image_id(b"0"), image_id(b"1"), image_id(b"2")]


def test_names_and_domains_come_from_classes_csv(tmp_path: Path) -> None:
    # With the mark that spreadsheets put before UTF-8.
    csv = "\ufefffolder,domain,name\nb_two,birds,Zweite Ähre\ngone,x,not there\n"
    found = read_class_folders(write(tmp_path, {**IMAGES, "classes.csv": csv}))
    assert list(found.class_names) == ["a", "Zweite Ähre"]
    assert list(found.domains) == ["", "birds"]


def test_folders_of_class_folders_are_one_set_and_each_is_one(tmp_path: Path) -> None:
    inner = {f"birds/{name}": content for name, content in IMAGES.items()}
    csv = "folder,domain,name\nbirds/b_two,birds,Zweite\n"
    write(tmp_path, {**inner, "c/3.png": b"3", "c/thumbs/4.png": b"4", "classes.csv": csv})
    found = read_class_folders(tmp_path)
    assert list(found.class_names) == ["a", "Zweite", "c"]
    assert list(found.domains) == ["", "birds", ""]
    assert found.labels.tolist() == [0, 1, 1, 2]  # what lies within a class folder is none
    assert list(read_class_folders(tmp_path / "birds").class_names) == ["a", "b two"]


def test_a_class_folder_without_an_image_is_no_class(tmp_path: Path) -> None:
    found = read_class_folders(write(tmp_path, {**IMAGES, "a0/readme.md": "", "z/.keep": ""}))
    assert list(found.class_names) == ["a", "b two"]


def test_the_digest_is_of_content_not_of_place(tmp_path: Path) -> None:
    digest = read_class_folders(write(tmp_path / "one", IMAGES)).digest
    assert read_class_folders(write(tmp_path / "two", IMAGES)).digest == digest
    changes: list[dict[str, bytes | str]] = [
        {"a/0.webp": b"other"},
        {"a/1.webp": b"more"},
        {"c/0.webp": b"more"},
        {"classes.csv": "folder,name\na,other\n"},
    ]
    digests = [
        read_class_folders(write(tmp_path / f"changed-{i}", {**IMAGES, **change})).digest
        for i, change in enumerate(changes)
    ]
    assert len({digest, *digests}) == len(changes) + 1


def test_the_digest_is_of_names_labels_and_image_ids(tmp_path: Path) -> None:
    """By hand, since data sets and evaluations that exist have recorded it."""
    csv = "folder,domain,name\na,birds,Ähre\n"
    found = read_class_folders(write(tmp_path, {**IMAGES, "classes.csv": csv}))
    ids = [image_id(one) for one in (b"0", b"1", b"2")]
    assert found.digest == hash_json([[["Ähre", "birds"], ["b two", ""]], [0, 1, 1], ids])


def test_a_uri_names_the_folder_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "a set", IMAGES)
    assert read_class_folders(folder.as_uri()).digest == read_class_folders(folder).digest


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "is not a folder"),
        ({"readme.md": ""}, "holds no class folder with images"),
        ({"1.jpg": b"loose"}, "holds no class folder with images"),
        ({**IMAGES, "classes.csv": "folder,title\na,b\n"}, r"classes\.csv lacks the column 'name'"),
        ({**IMAGES, "classes.csv": ""}, r"classes\.csv lacks the column 'folder'"),
        ({**IMAGES, "classes.csv": "folder,name\na\n"}, r"no name for the folder 'a'"),
        ({**IMAGES, "classes.csv": b"folder,name\na,\xff\n"}, r"classes\.csv is not a CSV file"),
    ],
)
def test_what_cannot_be_read_is_told(
    tmp_path: Path, files: dict[str, bytes | str], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_class_folders(write(tmp_path / "set", files))
    assert "\n" not in str(caught.value)
