"""A launcher in a process of its own: ``trainjob_launcher.py URL FOLDER RUN``.

The model is there when FOLDER has the file ``model``, which holds its URI.
"""

import sys
from pathlib import Path

from openmofi.launch.api import Kubernetes, Place
from openmofi.launch.config import NodesConfig
from openmofi.launch.follow import Following
from openmofi.launch.job import Launch, train_job

RECIPE = "0123456789abcdef" * 2
NAMESPACE = "kubeflow-user"


def wanted(run: str, count: int = 2, image: str = "an-image") -> dict:
    launch = Launch(RECIPE, "s3://b/manifests/x.json", {"max_steps": 3}, "mine", run)
    return train_job(launch, NodesConfig(count=count), image=image)


def main(url: str, folder: Path, run: str) -> None:
    place = Place(url, NAMESPACE, folder, "launcher")
    model = folder / "model"
    following = Following(
        Kubernetes(place, patience_s=5),
        wanted(run),
        lambda: model.read_text() if model.exists() else "",
        poll_s=0.02,
    )
    print(following.run())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
