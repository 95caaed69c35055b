"""Taking samples down: what is found, what is written, and who still holds them."""

import shutil
from pathlib import Path

import pytest

from openmofi.cli import main
from openmofi.dataset.takedown.compact import compact
from openmofi.dataset.takedown.forget import forget, hash_files, read_list
from openmofi.errors import InputError
from openmofi.images import image_id
from openmofi.tombstones import read_tombstones, url_hash
from support.takedowns import (
    SAMPLES,
    TAKEN,
    Filled,
    alt_text,
    everything,
    filled_store,
    picture,
    uid_of,
    url,
)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return filled_store(tmp_path_factory.mktemp("forget"))


@pytest.fixture
def filled(once: Filled) -> Filled:
    """The store of the module, with nothing taken down in it."""
    shutil.rmtree(once.root / "tombstones", ignore_errors=True)
    return once


def test_a_url_is_found_and_written_down_as_hash_and_uid(filled: Filled) -> None:
    done = forget(str(filled.root), urls=[f"  {url(TAKEN)}\t"], reason="a letter\nof Monday")
    assert (done.listed, done.unknown, done.samples, done.shards) == (1, 0, 1, 1)
    stones = read_tombstones(filled.store)
    assert stones.urls == {url_hash(url(TAKEN))}
    assert stones.ids == {uid_of(filled, TAKEN)}
    assert stones.settled
    text = filled.store.get(f"tombstones/{done.tombstones}.txt")
    assert b"# a letter of Monday\n" in text
    for kept in (url(TAKEN), alt_text(TAKEN), image_id(picture(TAKEN))):
        assert kept.encode() not in text


def test_a_picture_is_found_by_its_id_its_file_and_its_sample(
    filled: Filled, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "any.name").write_bytes(picture(TAKEN))
    assert hash_files(tmp_path) == [image_id(picture(TAKEN))]
    uid = uid_of(filled, TAKEN)
    by_image = forget(str(filled.root), image_hashes=hash_files(tmp_path))
    assert read_tombstones(filled.store).ids == {uid, image_id(picture(TAKEN))}
    assert (by_image.samples, by_image.copies) == (1, 0)
    again = forget(str(filled.root), ids=[uid.upper(), image_id(picture(TAKEN))])
    assert (again.listed, again.samples, again.tombstones) == (2, 1, "")


def test_what_holds_the_samples_is_named(filled: Filled) -> None:
    done = forget(str(filled.root), ids=[uid_of(filled, TAKEN)])
    assert done.holders.versions == (filled.dataset,)
    assert done.holders.training_shards == (filled.training_shards,)
    assert done.holders.models == (filled.model,)
    assert done.holders.describe() == "1 version, 1 training set and 1 model"


@pytest.mark.parametrize("kind", ["ids", "urls", "image_hashes"])
def test_unknown_ones_are_told_by_number_and_nothing_is_written(filled: Filled, kind: str) -> None:
    unknown = {"ids": "0" * 32, "urls": "https://nobody.example/", "image_hashes": "1" * 32}[kind]
    before = everything(filled.root)
    lists = {"urls": [url(TAKEN)], kind: [*([url(TAKEN)] if kind == "urls" else []), unknown]}
    with pytest.raises(InputError, match=f"^1 of 2 name no sample of .*first is '{unknown}'; not"):
        forget(str(filled.root), **lists)
    assert everything(filled.root) == before
    done = forget(str(filled.root), **lists, allow_unknown=True)
    assert (done.listed, done.unknown, done.samples) == (2, 1, 1)
    stones = read_tombstones(filled.store)
    assert unknown in stones.ids or url_hash(unknown) in stones.urls


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"ids": ["d41d8cd98f00b204"]}, "'d41d8cd98f00b204' is no id: .* 32 hex digits"),
        ({"image_hashes": ["e" * 64]}, "BLAKE2b hash of the file"),
        ({}, "nothing to forget: give --ids, --urls, --image-hashes or --files"),
    ],
)
def test_what_can_be_no_id_is_refused(filled: Filled, lists: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        forget(str(filled.root), **lists)


def test_a_root_without_a_crawl_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no samples; --root names where"):
        forget(str(tmp_path / "typo"), ids=["0" * 32])
    assert not (tmp_path / "typo").exists()


def test_copies_of_the_picture_that_stay_are_counted(tmp_path: Path) -> None:
    """The same bytes from another page are another sample: whether they go too is asked."""
    from support.ingest import crawl_tar, ingest, members

    samples = {"a": members(1, "one", url=url(0)), "b": members(1, "other", url=url(1))}
    crawl_tar(tmp_path / "s" / "0.tar", {**samples, "c": members(2, "third")})
    ingest(tmp_path / "root", tmp_path / "s")
    done = forget(str(tmp_path / "root"), urls=[url(0)])
    assert (done.samples, done.copies) == (1, 1)
    both = forget(str(tmp_path / "root"), image_hashes=[image_id(members(1)["jpg"])])
    assert (both.samples, both.copies) == (2, 0)


def test_a_list_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf" + f"{url(1)}\r\n\n  {url(2)}".encode())
    assert read_list(path) == [url(1), url(2)]
    path.write_text("\n \n")
    with pytest.raises(InputError, match=r"list.txt is empty; it should have an id, a URL or a"):
        read_list(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"list.txt cannot be read: it is no UTF-8 text"):
        read_list(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_list(tmp_path / "lost.txt")
    with pytest.raises(InputError, match=r"--files .* is no folder with pictures in it"):
        hash_files(tmp_path / "lost")


def test_the_command_says_what_was_found_and_what_holds_it(
    filled: Filled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "urls.txt").write_text(f"{url(TAKEN)}\n{url(8)}\n")
    arguments = ["dataset", "forget", "--root", str(filled.root)]
    assert main([*arguments, "--urls", str(tmp_path / "urls.txt")]) == 0
    first, *uris = capsys.readouterr().out.splitlines()
    assert first.startswith("2 of 2 found: 2 samples in 2 shards; tombstone ")
    assert first.endswith(
        "; held by 1 version, 1 training set and 1 model; next: assemble, then compact"
    )
    assert uris == [f"  {one}" for one in (filled.dataset, filled.training_shards, filled.model)]
    assert main([*arguments, "--urls", str(tmp_path / "urls.txt")]) == 0
    assert "all was taken down before" in capsys.readouterr().out
    (tmp_path / "urls.txt").write_text("https://nobody.example/\n")
    assert main([*arguments, "--urls", str(tmp_path / "urls.txt")]) == 2
    assert "1 of 1 name no sample" in capsys.readouterr().err


def test_after_a_compaction_the_same_list_is_known(filled: Filled, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(filled.root, root)
    asked = {"urls": [url(TAKEN)], "image_hashes": [image_id(picture(SAMPLES - 1))]}
    forget(str(root), **asked)
    compact(str(root))
    again = forget(str(root), **asked)
    assert (again.listed, again.unknown, again.tombstones) == (2, 0, "")
