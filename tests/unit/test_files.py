"""Scope: openmofi.files: a user's file appears whole or not at all."""

import os
from pathlib import Path

import pytest

from openmofi.errors import InputError
from openmofi.files import new_folder, replacing, write_text


def test_a_file_appears_with_its_folder(tmp_path: Path) -> None:
    write_text("ä", tmp_path / "new" / "a.txt")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ä".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def stop_in_the_middle(out: Path) -> None:
    with replacing(out) as temporary:
        temporary.write_text("ne")
        raise KeyError


def test_what_stops_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyError):
        stop_in_the_middle(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*/a/b\.txt: "):
        write_text("x", tmp_path / "a" / "b.txt")


DEAD = 2**22 + 1  # no process has such a number


def test_a_folder_appears_when_all_is_in_it(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with new_folder(out) as folder:
        (folder / "a").write_text("a")
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert (out / "a").read_text() == "a"


def fail_in_the_middle(out: Path, error: BaseException) -> None:
    with new_folder(out) as folder:
        (folder / "a").write_text("a")
        raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_of_a_folder_that_fails_nothing_is_left(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        fail_in_the_middle(tmp_path / "new" / "er" / "out", error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"cannot write .*/file/out: "),
        new_folder(tmp_path / "file" / "out"),
    ):
        pass


def test_only_what_the_dead_have_left_is_removed(tmp_path: Path) -> None:
    left, others = (tmp_path / f".out.writing-{number}" for number in (DEAD, os.getppid()))
    for folder in (left, others):
        folder.mkdir()
    with new_folder(tmp_path / "out"):
        assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [others.name, "out"]
