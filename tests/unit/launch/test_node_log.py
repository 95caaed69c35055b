"""Scope: what of a node's log is asked for, and told."""

from typing import Any, cast

import pytest

from openmofi.launch import node_log
from openmofi.launch.api import Kubernetes, KubernetesError
from openmofi.launch.node_log import NodeLog, describe_failure, describe_pods
from support.trainjob_launcher import wanted
from support.trainjob_server import Cluster

FIRST_NODE = {
    "metadata": {
        "name": "node-0", "uid": "u", "labels": {"batch.kubernetes.io/job-completion-index": "0"},
    },
    "status": {"phase": "Running"},
}  # fmt: skip


class Logs:
    """An API that has a log, and keeps what it was asked for."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.asked: list[dict[str, str]] = []

    def log_of(self, _: str, **query: str) -> str:
        self.asked.append(query)
        return self._texts.pop(0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(node_log, "say", lines.append)
    return lines


def tell(api: Any, times: int) -> None:
    log = NodeLog(cast(Kubernetes, api), "job")
    for _ in range(times):
        log.tell([FIRST_NODE], whole=False)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("2026-11-29T00:30:01.000000001Z", "2026-11-29T00:30:01Z"),
        ("2026-11-29T00:30:01.000000001+01:00", "2026-11-28T23:30:01Z"),
        ("2026-11-28T22:30:01.5-05:00", "2026-11-29T03:30:01Z"),
    ],
)
def test_the_log_is_asked_for_from_the_last_line_on_in_whatever_zone_that_is(
    told: list[str], written: str, asked: str
) -> None:
    api = Logs(f"{written} step 1\n", f"{written} step 1\n{written} step 2\n")
    tell(api, 2)
    assert api.asked == [{"tailLines": "2000"}, {"sinceTime": asked}]
    assert told == ["step 1", "step 2"]


def test_a_kubelets_own_complaint_is_no_line_and_hides_none(told: list[str]) -> None:
    stamp = "2026-11-29T00:30:01.000000001Z"
    lost = "unable to retrieve container logs for containerd://5a\n"
    api = Logs(lost, f"{stamp} step 1\n", f"{stamp} step 1\n{lost}{stamp} step 2\n")
    tell(api, 3)
    assert api.asked == [
        {"tailLines": "2000"},
        {"tailLines": "2000"},
        {"sinceTime": f"{stamp[:19]}Z"},
    ]
    assert told == ["step 1", "step 2"]


@pytest.fixture
def failed(kubernetes: Kubernetes, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first node of a job, whose machine has been lost since it failed."""
    monkeypatch.setattr("openmofi.launch.api._LOG_PATIENCE_S", 0.05)
    kubernetes.create_job(wanted("a"))
    pod = cluster.start_node(0)
    cluster.write(pod, "step 1/3")
    cluster.end_node(pod, 1, at="2026-11-29T00:10:00Z")
    cluster.fault = lambda *_: (500, "dial tcp 10.0.0.7:10250: i/o timeout")
    return pod


def test_a_machine_that_gives_no_log_is_told_once_and_holds_nothing_up(
    kubernetes: Kubernetes, cluster: Cluster, failed: str, told: list[str]
) -> None:
    log, pods = NodeLog(kubernetes, "job"), [cluster.pods[failed]]
    for _ in range(3):
        log.tell(pods, whole=False)
    assert len(told) == 1
    assert "(500): dial tcp 10.0.0.7:10250: i/o timeout; the job is followed wi" in told[0]
    cluster.fault = lambda *_: None
    log.tell(pods, whole=False)
    assert told[1:] == ["step 1/3"]


def test_a_failure_is_told_without_the_log_of_a_lost_machine(
    kubernetes: Kubernetes, cluster: Cluster, failed: str
) -> None:
    said = describe_failure(kubernetes, [cluster.pods[failed]])
    assert said.startswith(f"; first {failed}: Error, exit code 1; Kubernetes at ")
    assert said.endswith("i/o timeout")


def test_a_log_that_may_not_be_read_ends_the_launcher(
    kubernetes: Kubernetes, cluster: Cluster, failed: str
) -> None:
    cluster.fault = lambda *_: (403, "pods/log is forbidden")
    with pytest.raises(KubernetesError, match="forbidden; k8s/gpu has the role"):
        NodeLog(kubernetes, "job").tell([cluster.pods[failed]], whole=False)


def test_of_what_the_scheduler_says_only_the_first_sentence_is_told() -> None:
    said = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. no new claims to deallocate."
    condition = {"type": "PodScheduled", "status": "False", "message": said}
    pod = {"metadata": {"name": "node-1"}, "status": {"conditions": [condition]}}
    told = describe_pods([pod], 2)
    assert told.endswith("; node-1: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu")
