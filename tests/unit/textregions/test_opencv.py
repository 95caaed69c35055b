"""Two distributions of one cv2, laid out as an installer leaves them."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.errors import InputError
from openmofi.textregions.opencv import check_opencv

Install = Callable[..., None]
FILES = ("cv2/__init__.py", "cv2/cv2.abi3.so")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Into an environment of its own: what the machine has is out of sight."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def install(name: str, version: str, files: tuple[str, ...] = FILES) -> None:
        facts = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}")
        (facts / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        for file in files:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        importlib.invalidate_caches()

    return install


def test_no_opencv_and_one_opencv_pass(install: Install) -> None:
    check_opencv()
    install("opencv-python-headless", "5.0.0.93")
    check_opencv()


def test_two_are_refused_with_their_names_and_the_way_out(install: Install) -> None:
    install("opencv-contrib-python", "4.10.0.84")
    install("opencv-python-headless", "5.0.0.93")
    with pytest.raises(InputError, match="two new environments") as caught:
        check_opencv()
    assert "opencv-contrib-python 4.10.0.84" in str(caught.value)
    assert "opencv-python-headless 5.0.0.93" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["opencv-python", "opencv-contrib-python-headless"])
def test_every_distribution_of_cv2_counts(install: Install, name: str) -> None:
    install("opencv-python-headless", "5.0.0.93")
    install(name, "4.10.0.84")
    with pytest.raises(InputError, match=name):
        check_opencv()


def test_an_alias_that_owns_no_file_does_not_count(install: Install) -> None:
    # conda leaves one of opencv-python-headless beside its opencv-python.
    install("opencv-python", "4.12.0")
    alone = "opencv_python_headless-4.12.0.dist-info/METADATA"
    install("opencv-python-headless", "4.12.0", files=(alone,))
    check_opencv()


def test_what_the_removal_of_the_other_left_is_refused(install: Install, tmp_path: Path) -> None:
    install("opencv-contrib-python", "4.10.0.84")
    (tmp_path / "cv2/__init__.py").unlink()
    with pytest.raises(InputError, match="force-reinstall --no-deps opencv-contrib-python") as told:
        check_opencv()
    assert "cv2/__init__.py" in str(told.value)


def test_compiled_files_may_go(install: Install, tmp_path: Path) -> None:
    install("opencv-python", "5.0.0.93", files=(*FILES, "cv2/__pycache__/a.pyc"))
    (tmp_path / "cv2/__pycache__/a.pyc").unlink()
    check_opencv()
