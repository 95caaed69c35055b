"""Scope: one job from its making to its end, in this process, with a controller played by hand."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openmofi.launch.api import KubernetesError
from openmofi.launch.follow import TrainJobError
from support.followed_jobs import MODEL, NAME, Told, finish, started
from support.trainjob_server import Cluster
from support.waiting import wait_for


def test_a_job_is_made_followed_and_taken_away(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    run = launch()
    pod = started(cluster)
    cluster.write(pod, "step 1/3")
    wait_for(lambda: told.has("step 1/3"))
    cluster.write(pod, "step 2/3\nstep 3/3")
    finish(cluster, tmp_path, pod)
    assert run.result(60) == MODEL
    assert cluster.jobs == {}
    assert [line for line in told.lines if line.startswith("step")] == [
        "step 1/3", "step 2/3", "step 3/3",
    ]  # fmt: skip
    assert told.lines[0] == f"TrainJob {NAME}: made, 2 nodes"
    assert told.has("1 of 2 nodes have started")


def test_lines_of_one_moment_are_told_once_each(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    now = datetime(2026, 11, 29, tzinfo=UTC)
    run = launch()
    pod = started(cluster)
    for number in range(6):
        cluster.write(pod, f"line {number}", when=now + timedelta(microseconds=number // 4))
        wait_for(lambda number=number: told.has(f"line {number}"))  # type: ignore[misc]
    cluster.logs[pod] += "2026-11-29T00:00:01.000000000Z half a"
    looks = len(cluster.calls)
    wait_for(lambda: len(cluster.calls) > looks + 6)
    assert not told.has("half a")
    finish(cluster, tmp_path, pod)
    run.result(60)
    found = [line for line in told.lines if line.startswith(("line", "half"))]
    assert found == [*(f"line {number}" for number in range(6)), "half a"]
    assert {"2000"} == {q["tailLines"][0] for q in cluster.queries if "tailLines" in q}


def test_a_pod_that_was_started_again_is_read_from_its_beginning(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    run = launch()
    cluster.write(started(cluster), "of the first", when=datetime(2026, 11, 29, tzinfo=UTC))
    wait_for(lambda: told.has("of the first"))
    second = cluster.start_node(0)
    cluster.write(second, "of the second", when=datetime(2026, 11, 28, tzinfo=UTC))
    wait_for(lambda: told.has("of the second"))
    finish(cluster, tmp_path, second)
    run.result(60)


def test_a_failed_job_tells_the_node_that_failed_first(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told
) -> None:
    run = launch()
    first = started(cluster)
    second = cluster.start_node(1)
    for pod in (first, second):
        cluster.write(pod, "\n".join(f"{pod[-7]} line {number}" for number in range(30)))
    cluster.write(second, "CUDA out of memory")
    cluster.end_node(first, 143, at="2026-11-29T00:00:09Z")
    cluster.end_node(second, 137, at="2026-11-29T00:00:08Z", reason="OOMKilled")
    cluster.set_condition("Failed", "jobset failed due to one or more job failures")
    with pytest.raises(TrainJobError) as error:
        run.result(60)
    head, *lines = str(error.value).splitlines()
    assert head.startswith(f"TrainJob {NAME} failed: jobset failed due to one or more job failures")
    assert head.endswith(f"first {second}: OOMKilled, exit code 137; its last lines:")
    assert len(lines) == 20
    assert lines[-1] == "CUDA out of memory"
    assert NAME in cluster.jobs  # its pods stay, for people to look at


def test_an_evicted_node_is_told_with_kubernetes_own_words(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told
) -> None:
    run = launch()
    pod = started(cluster)
    cluster.pods[pod]["status"] = {"phase": "Failed", "reason": "Evicted", "message": "disk full"}
    cluster.set_condition("Failed", "x")
    with pytest.raises(TrainJobError, match="Evicted, disk full"):
        run.result(60)


def test_a_job_that_failed_without_a_pod_says_so(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told
) -> None:
    run = launch()
    wait_for(lambda: bool(cluster.jobs))
    cluster.set_condition("Failed", "runtime not supported")
    with pytest.raises(TrainJobError, match="runtime not supported; no pod of it is left"):
        run.result(60)


def test_a_job_in_a_queue_is_waited_for_and_that_is_said_once(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    cluster.on_made = lambda job: cluster.set_condition("Suspended", "TrainJob is suspended")
    run = launch()
    wait_for(lambda: told.has("waits until it is let go: TrainJob is suspended"))
    looks = len(cluster.calls)
    wait_for(lambda: len(cluster.calls) > looks + 6)
    assert sum("waits until" in line for line in told.lines) == 1
    assert not run.done()
    cluster.set_condition("Suspended", holds=False)
    finish(cluster, tmp_path, cluster.start_node(0))
    assert run.result(60) == MODEL


def test_what_a_node_waits_for_is_said(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    run = launch()
    pod = started(cluster)
    why = "0/9 nodes are available: 9 Insufficient nvidia.com/gpu."
    cluster.pods[pod]["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": why}],
    }
    wait_for(lambda: told.has(f"0 of 2 nodes have started; {pod}: {why}"))
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    cluster.pods[pod]["status"] = {"phase": "Pending", "containerStatuses": [{"state": waiting}]}
    wait_for(lambda: told.has(f"{pod}: ImagePullBackOff, no such image"))
    finish(cluster, tmp_path, pod)
    run.result(60)


def test_a_job_that_somebody_deletes_fails_by_name(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told
) -> None:
    run = launch()
    started(cluster)
    cluster.remove_job()
    with pytest.raises(TrainJobError, match=f"{NAME} was deleted by somebody"):
        run.result(60)
    assert cluster.made == 1


def test_two_launchers_at_once_have_one_job_and_one_result(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    runs = [launch("a"), launch("b", count=3), launch("a")]
    pod = started(cluster)
    wait_for(lambda: sum("followed" in line for line in told.lines) == 2)
    assert told.has("nodes were asked for; it keeps its")
    finish(cluster, tmp_path, pod)
    assert [run.result(60) for run in runs] == [MODEL] * 3
    assert cluster.made == 1


def test_a_node_that_failed_and_one_that_is_to_end_are_said_before_the_job_has_failed(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told
) -> None:
    run = launch()
    first = started(cluster)
    second = cluster.start_node(1)
    cluster.end_node(second, 1, at="2026-11-29T00:00:08Z")
    cluster.pods[first]["metadata"]["deletionTimestamp"] = "2026-11-29T00:05:08Z"
    wait_for(
        lambda: told.has(
            f"1 of 2 nodes have started; {second} has failed: Error, exit code 1; "
            f"{first} on gpu-7 is to end by 2026-11-29T00:05:08Z"
        )
    )
    cluster.set_condition("Failed", "jobset failed")
    with pytest.raises(TrainJobError, match="exit code 1"):
        run.result(60)


def test_a_complete_job_without_a_model_is_no_success(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told
) -> None:
    run = launch()
    started(cluster)
    cluster.set_condition("Complete", "x")
    with pytest.raises(TrainJobError, match="no model lies under its recipe"):
        run.result(60)


def test_an_api_server_that_is_away_for_a_moment_costs_nothing(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told, tmp_path: Path
) -> None:
    run = launch()
    pod = started(cluster)
    away = threading.Event()
    cluster.fault = lambda *_: None if away.is_set() else (503, "restarting")
    looks = len(cluster.calls)
    wait_for(lambda: len(cluster.calls) > looks + 2)
    away.set()
    finish(cluster, tmp_path, pod)
    assert run.result(60) == MODEL
    assert cluster.made == 1


def test_a_right_that_is_taken_back_ends_the_launcher_and_not_the_job(
    launch: Callable[..., "Future[str]"], cluster: Cluster, told: Told
) -> None:
    run = launch()
    started(cluster)
    cluster.fault = lambda *_: (403, "no more")
    with pytest.raises(KubernetesError, match=r"\(403\)"):
        run.result(60)
    assert NAME in cluster.jobs
