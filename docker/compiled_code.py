"""Take over the machine code that was compiled when the image was built.

numba and the library use a cache only where they can write, and the root file system is read-only:
so a copy goes to NUMBA_CACHE_DIR when a process finds none there. A .pth file calls this at the
start of every Python, because a pod's command replaces any entry point.
"""

import contextlib
import os
import shutil
import tempfile

BUILT = "/opt/openmofi/compiled"


def take_over(built: str = BUILT) -> None:
    """Copy the folder as a whole: of several processes that start at once, one is the first."""
    cache = os.environ.get("NUMBA_CACHE_DIR", "")
    if not cache or os.path.exists(cache) or not os.path.isdir(built):
        return
    with contextlib.suppress(OSError):  # it only costs time to compile again
        parent = tempfile.mkdtemp(dir=os.path.dirname(cache))
        try:
            os.rename(shutil.copytree(built, os.path.join(parent, "copy")), cache)
        finally:
            shutil.rmtree(parent, ignore_errors=True)
