"""Scope: openmofi.files: a user's file appears whole or not at all."""

from pathlib import Path

import pytest

from openmofi.errors import InputError
from openmofi.files import replacing, write_text


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
