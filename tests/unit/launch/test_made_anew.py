"""Scope: no two jobs of a recipe at once: an earlier one's end is waited for."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from openmofi.launch.follow import TrainJobError
from support.followed_jobs import MODEL, NAME, Told, finish, started
from support.trainjob_launcher import wanted
from support.trainjob_server import Cluster
from support.waiting import wait_for

STRICTLY = {"fieldValidation": ["Strict"]}


def test_an_earlier_job_that_failed_is_made_anew_once_its_pods_are_gone(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    cluster.answer("create", "trainjobs", "", "", wanted("a"), STRICTLY)
    pod = cluster.start_node(0)  # still saving what it has
    cluster.set_condition("Failed", "a node was lost")
    runs = [launch(), launch()]
    waits = f"waits for an earlier one's end: {pod} on gpu-7 is to end by 2026-11-29T00:06:00Z"
    wait_for(lambda: sum(waits in line for line in told.lines) == 2)
    looks = len(cluster.calls)
    wait_for(lambda: len(cluster.calls) > looks + 6)
    assert (cluster.made, cluster.jobs) == (1, {})
    assert sum(waits in line for line in told.lines) == 2  # once a launcher
    cluster.end_node(pod, 143, at="2026-11-29T00:00:09Z")
    finish(cluster, tmp_path, started(cluster))
    assert [run.result(60) for run in runs] == [MODEL] * 2
    assert cluster.made == 2


def test_a_job_that_somebody_deleted_is_made_anew_once_its_pods_are_gone(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    cluster.answer("create", "trainjobs", "", "", wanted("a"), STRICTLY)
    pod = cluster.start_node(0)
    uid = cluster.jobs[NAME]["metadata"]["uid"]
    body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
    cluster.answer("delete", "trainjobs", NAME, "", body, {})
    run = launch()
    wait_for(lambda: told.has("waits for an earlier one's end"))
    assert cluster.made == 1
    cluster.end_node(pod, 143, at="2026-11-29T00:00:09Z")
    finish(cluster, tmp_path, started(cluster))
    assert run.result(60) == MODEL


def test_pods_that_do_not_go_away_end_the_launcher_by_name(
    launch: Callable[..., "Future[str]"], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.answer("create", "trainjobs", "", "", wanted("a"), STRICTLY)
    pod = cluster.start_node(0)
    cluster.remove_job(keep_pods=True)
    monkeypatch.setattr("openmofi.launch.follow._GONE_S", 0.1)
    with pytest.raises(TrainJobError, match=f"an earlier one does not go away: {pod}"):
        launch().result(60)
    assert cluster.jobs == {}
