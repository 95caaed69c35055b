"""One OpenCV an environment: cv2 is shipped by four distributions that overwrite each other."""

import csv
import importlib.metadata
from pathlib import Path, PurePosixPath

from openmofi.errors import InputError

_SHIPPED_AS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def check_opencv() -> None:
    """Refuse an environment whose cv2 is a mixture of two, or what the removal of one has left.

    The extras 'curate' and 'paddleocr' exclude each other, but an installer looks only at what is
    asked for at once: asked one after the other it installs both, and the last one's cv2 stands.
    No OpenCV at all passes: its absence is told by the import that needs it.

    Raises:
        InputError: Names the distributions and the fix.
    """
    owners = {name: files for name in _SHIPPED_AS if (files := _files_of_cv2(name))}
    if len(owners) > 1:
        found = " and ".join(f"{name} {importlib.metadata.version(name)}" for name in owners)
        raise InputError(
            f"{found} overwrite each other's cv2; make two new environments, one with the extra "
            "'curate' and one with the extra 'paddleocr'"
        )
    for name, files in owners.items():
        gone = next((file for file in files if not file.exists()), None)
        if gone is not None:
            raise InputError(
                f"{name} lacks its {gone}, as after removing another OpenCV beside it; "
                f"install it again: pip install --force-reinstall --no-deps {name}"
            )


def _files_of_cv2(name: str) -> list[Path]:
    """What a distribution installed in cv2/, by its record, whether it is still there or not.

    Not by the distribution's ``files``: from Python 3.12 on those leave out what is gone. Empty for
    the aliases that conda leaves for pip's sake: they own no file.
    """
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return []
    rows = csv.reader((found.read_text("RECORD") or "").splitlines())
    paths = [PurePosixPath(row[0]) for row in rows if row]
    return [
        Path(str(found.locate_file(path)))
        for path in paths
        if path.parts[0] == "cv2" and path.suffix != ".pyc"
    ]
