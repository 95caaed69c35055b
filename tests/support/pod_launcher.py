"""A launcher in a process of its own, as in a pod: ``pod_launcher.py FOLDER RUN``.

FOLDER is what Kubernetes mounts of the pod's account. The model is there when it has the file
``model``, which holds its URI.
"""

import sys
from pathlib import Path

from openmofi.errors import OpenMofiError
from openmofi.launch.api import Kubernetes, Place
from openmofi.launch.follow import Following
from support.trainjob_launcher import wanted


def main(folder: Path, run: str) -> None:
    api = Kubernetes(Place.of_this_pod(folder), patience_s=10)
    model = folder / "model"
    following = Following(
        api,
        wanted(run, image=api.own_image()),
        lambda: model.read_text() if model.exists() else "",
        poll_s=0.3,
    )
    print(following.run())


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except OpenMofiError as error:
        sys.exit(f"{type(error).__name__}: {error}")
