"""Small pictures with their texts, the same from a folder of tars and from a store."""

from pathlib import Path

import numpy as np
import pytest

from openmofi.errors import InputError, ShardError
from openmofi.labeling.quality.labels import read_label_tables
from openmofi.labeling.quality.pictures import pictures_of_store, pictures_of_tars
from openmofi.shards import write_tar
from support.label_quality import decoded, picture_bytes
from support.tables import labelled, write_pool

RED, BLUE = (200, 0, 0), (0, 0, 200)


def colour(data_uri: str) -> tuple[int, ...]:
    mean = np.asarray(decoded(data_uri).convert("RGB")).mean((0, 1)).round(-1)
    return tuple(mean.astype(int).tolist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tar(
        tmp_path / "s0.tar",
        [
            ("a", {"txt": b"  red \n", "jpg": picture_bytes(RED), "json": b"{}"}),
            ("b", {"png": picture_bytes(BLUE)}),
            ("c", {"jpg": b"no picture", "txt": b"?"}),
            ("d", {"txt": b"text alone"}),
        ],
    )
    write_tar(
        tmp_path / "s1.tar",
        [
            (
                "a",
                {
                    "jpg": picture_bytes(BLUE, side=400, turned=True),
                    "txt": b"bl\xe5u\xff",
                },
            )
        ],
    )
    return tmp_path


def test_a_picture_comes_with_its_text(folder: Path) -> None:
    found = pictures_of_tars(folder, [("s0", "a"), ("s0", "b"), ("s1", "a")])
    assert colour(found["s0", "a"].data_uri) == RED
    assert found["s0", "a"].alt_text == "red"
    assert colour(found["s0", "b"].data_uri) == BLUE
    assert found["s0", "b"].alt_text == ""
    assert found["s1", "a"].alt_text == "bl\ufffdu\ufffd"


def test_it_is_turned_as_exif_says_small_and_without_metadata(folder: Path) -> None:
    found = decoded(pictures_of_tars(folder, [("s1", "a")])["s1", "a"].data_uri)
    assert found.size == (144, 288)
    assert not found.getexif()


def test_a_small_one_is_not_enlarged(folder: Path) -> None:
    found = pictures_of_tars(folder, [("s0", "a")])
    assert decoded(found["s0", "a"].data_uri).size == (32, 16)


def test_what_does_not_decode_is_left_out(folder: Path) -> None:
    assert list(pictures_of_tars(folder, [("s0", "a"), ("s0", "c")])) == [("s0", "a")]


@pytest.mark.parametrize("image", [("s0", "z"), ("s0", "d")])
def test_an_image_that_is_not_there_is_named(folder: Path, image: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=f"has no image '{'/'.join(image)}'"):
        pictures_of_tars(folder, [("s0", "a"), image])


def test_a_tar_that_is_not_there_is_named_before_any_is_read(folder: Path) -> None:
    (folder / "s0.tar").write_bytes(b"no tar")
    with pytest.raises(InputError, match=r"has no s2.tar, and the labels name images in it"):
        pictures_of_tars(folder, [("s0", "a"), ("s2", "a")])


def test_a_tar_cut_short_is_an_error(folder: Path) -> None:
    data = (folder / "s0.tar").read_bytes()
    (folder / "s0.tar").write_bytes(data[:1500])
    with pytest.raises(ShardError, match=r"cut short|not a readable tar"):
        pictures_of_tars(folder, [("s0", "a")])


def test_a_store_gives_pictures_and_texts_by_key(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, {"s0": [labelled(1), labelled(2, ("cat", 0.5))]})
    _, store, work = read_label_tables(pool.entity_scores, pool.samples)
    found = pictures_of_store(store, work, [("s0", "00001")])
    assert list(found) == [("s0", "00001")]
    assert found["s0", "00001"].alt_text == "picture 2"
    assert decoded(found["s0", "00001"].data_uri).size == (32, 32)
    with pytest.raises(InputError, match="has no image 's0/7'"):
        pictures_of_store(store, work, [("s0", "7")])
