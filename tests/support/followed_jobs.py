"""A job that a launcher of this process follows, against the tests' own server."""

from pathlib import Path

from support.trainjob_launcher import RECIPE
from support.trainjob_server import Cluster
from support.waiting import wait_for

NAME = f"openmofi-{RECIPE}"
MODEL = "s3://b/manifests/model/m.json"


class Told:
    """What was said, as it is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def has(self, part: str) -> bool:
        return any(part in line for line in self.lines)


def started(cluster: Cluster) -> str:
    wait_for(lambda: bool(cluster.jobs))
    return cluster.start_node(0)


def finish(cluster: Cluster, tmp_path: Path, pod: str) -> None:
    cluster.end_node(pod, 0, at="2026-11-29T00:10:00Z")
    (tmp_path / "model").write_text(MODEL)
    cluster.set_condition("Complete", "all jobs are complete")
