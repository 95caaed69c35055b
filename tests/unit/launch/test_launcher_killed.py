"""Scope: a launcher's process that is killed, told to stop, and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import trainjob_launcher
from support.trainjob_launcher import RECIPE
from support.trainjob_server import Cluster
from support.waiting import wait_for

NAME = f"openmofi-{RECIPE}"
MODEL = "s3://b/manifests/model/m.json"
Launcher = subprocess.Popen[str]


@pytest.fixture
def launch(url: str, tmp_path: Path) -> Iterator[Callable[..., Launcher]]:
    """Start a launcher of a pipeline run."""
    begun: list[Launcher] = []

    def start(run: str = "a") -> Launcher:
        command = [sys.executable, trainjob_launcher.__file__, url, str(tmp_path), run]
        begun.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def following(cluster: Cluster) -> None:
    """Wait until a launcher reads the log."""
    before = len(cluster.calls)
    wait_for(lambda: ("", "pods/log", "get") in cluster.calls[before:])


def following_one(launch: Callable[..., Launcher], cluster: Cluster) -> Launcher:
    """A launcher that reads the log of its job's first node."""
    process = launch()
    wait_for(lambda: bool(cluster.jobs))
    cluster.start_node(0)
    following(cluster)
    return process


def test_one_job_survives_a_launcher_that_is_killed_and_the_next_has_its_result(
    launch: Callable[..., Launcher], cluster: Cluster, tmp_path: Path
) -> None:
    first = launch()
    wait_for(lambda: bool(cluster.jobs))
    pod = cluster.start_node(0)
    cluster.write(pod, "step 1/3")
    following(cluster)
    first.kill()
    first.wait()
    assert NAME in cluster.jobs
    second = launch()
    following(cluster)
    cluster.write(pod, "step 2/3")
    (tmp_path / "model").write_text(MODEL)
    cluster.end_node(pod, 0, at="2026-11-29T00:10:00Z")
    cluster.set_condition("Complete", "all jobs are complete")
    out, err = second.communicate(timeout=90)
    assert out.strip() == MODEL, err
    assert f"TrainJob {NAME}: found, 2 nodes, made by run a; followed" in err
    assert [line for line in err.splitlines() if "step" in line] == ["step 1/3", "step 2/3"]
    assert cluster.made == 1


def test_a_launcher_that_is_told_to_stop_takes_its_job_away(
    launch: Callable[..., Launcher], cluster: Cluster
) -> None:
    process = following_one(launch, cluster)
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 143, err
    assert "the job is deleted, training saves" in err
    assert cluster.jobs == {}
    (node,) = [pod for name, pod in cluster.pods.items() if name.startswith(NAME)]
    assert "deletionTimestamp" in node["metadata"]  # it saves


def test_a_launcher_that_found_anothers_job_leaves_it(
    launch: Callable[..., Launcher], cluster: Cluster
) -> None:
    launch("a")
    wait_for(lambda: bool(cluster.jobs))
    cluster.start_node(0)
    guest = launch("b")
    assert "made by run a; followed" in (guest.stderr.readline() if guest.stderr else "")
    following(cluster)
    following(cluster)
    os.kill(guest.pid, signal.SIGTERM)
    _, err = guest.communicate(timeout=90)
    assert guest.returncode == 143, err
    assert "the job is run a's, kept" in err
    assert "deletionTimestamp" not in cluster.jobs[NAME]["metadata"]


def test_a_launcher_that_can_not_take_its_job_away_says_so(
    launch: Callable[..., Launcher], cluster: Cluster
) -> None:
    process = following_one(launch, cluster)
    cluster.fault = lambda verb, _: (403, "no more") if verb == "delete" else None
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 143
    assert "told to stop, and the job may still run" in err
