"""Scope: an evaluation set as a list of hashes, written, read, and refused when it is no list."""

from pathlib import Path

import pytest

from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.evaluation_data.hash_list import hash_list_text, read_hash_list
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.images import decode_image, perceptual_hash
from support.evaluation import write_image_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_image_set(tmp_path / "set")
    (folder / "c0" / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture
def listed(folder: Path, tmp_path: Path) -> Path:
    text, broken = hash_list_text(read_evaluation_data(folder).images)
    assert broken == 1
    (tmp_path / "list.txt").write_text(text)
    return tmp_path / "list.txt"


def test_a_list_holds_what_the_set_does(folder: Path, listed: Path) -> None:
    images = read_evaluation_data(folder).images
    found = read_hash_list(listed)
    assert found.digest == images.digest
    assert list(found.image_ids) == list(images.image_ids)
    whole = [path for path in images.paths if path.name != "broken.jpg"]
    assert list(found.hashes) == [perceptual_hash(decode_image(p.read_bytes())) for p in whole]
    assert read_hash_list(listed.as_uri()) == found


def test_a_list_of_one_line_less_or_more_or_other_is_refused(listed: Path) -> None:
    lines = listed.read_text().split("\n")
    for at in range(2, len(lines) - 2):
        other = lines[at].replace(lines[at][0], "0" if lines[at][0] != "0" else "1", 1)
        for changed in ([], [lines[at], lines[at]], [other]):
            listed.write_text("\n".join([*lines[:at], *changed, *lines[at + 1 :]]))
            with pytest.raises(InputError, match="is not as it was written"):
                read_hash_list(listed)


def test_half_a_list_is_refused(listed: Path) -> None:
    text = listed.read_text()
    for length in range(0, len(text) - 1, 7):
        listed.write_text(text[:length])
        with pytest.raises(InputError, match=r"list of hashes|not as it was written"):
            read_hash_list(listed)


def test_what_is_no_list_is_named(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    with pytest.raises(InputError, match=r"notes\.txt cannot be read"):
        read_hash_list(notes)
    notes.write_text("hello\n")
    with pytest.raises(InputError, match=r"notes\.txt is no list of hashes; 'openmofi evaluate h"):
        read_hash_list(notes)


def test_the_command_writes_the_list_and_no_file_that_is_not_known_as_one(
    folder: Path, listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = listed.with_name("by-command.txt")
    assert main(["evaluate", "hashes", str(folder), "--out", str(out)]) == 0
    assert out.read_text() == listed.read_text()
    assert "1 of which do not decode" in capsys.readouterr().out
    other = listed.with_name("list.csv")
    assert main(["evaluate", "hashes", str(folder), "--out", str(other)]) == 2
    assert "list.csv must end in .txt" in capsys.readouterr().err
    assert not other.exists()
