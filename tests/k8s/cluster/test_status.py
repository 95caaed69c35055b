"""Scope: `status` and `logs` of a run whose pods a real API server has, by the real kubectl.

Pods are those of a compiled curation, labelled as Argo labels them, and read by the account
openmofi-submitter. Kubeflow Pipelines is the tests' own server.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cluster.versions import pack
from pipelines.compile import PIPELINES
from support.control_plane import ControlPlane
from support.fake_nodes import Kind, Kubelet, kubelet, nodes
from support.kfp_calls import KfpServer
from support.kfp_pods import step_pods
from support.kfp_server import serving_kfp
from support.run_namespaces import clear, create, run_namespace, set_status
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

CRAWL = {
    "root": "s3://bucket/data", "source": "s3://bucket/crawl", "labeler": "ViT-B-32",
    "wordnet": "s3://bucket/wordnet",
}  # fmt: skip
RUNNING, PENDING, KILLED, UNSTARTED = "plan-shards", "embed-images", "label-images", "link-entities"


@pytest.fixture(scope="module")
def machine(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """The kubelet of the CPU nodes; the GPU node has no GPU."""
    cpu = Kind("cpu", 2, "15890m", "57Gi", pool="cpu")
    gpu = Kind("inference", 1, "15890m", "57Gi", pool="gpu-inference", tainted=True)
    with kubelet(tmp_path_factory.mktemp("kubelet")) as found, nodes(plane, [cpu, gpu], found.port):
        yield found


@pytest.fixture(scope="module")
def team(plane: ControlPlane) -> Iterator[str]:
    with run_namespace(plane) as name:
        yield name


@pytest.fixture(scope="module")
def kfp(team: str) -> Iterator[KfpServer]:
    """It keeps users apart by namespace."""
    with serving_kfp({"ours": {team, "default"}}) as server:
        yield server


@pytest.fixture(scope="module")
def submitter(plane: ControlPlane, team: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with a token of openmofi-submitter."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    token = plane.kubectl("-n", team, "create", "token", "openmofi-submitter").strip()
    config["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("submitter") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def ask(kfp: KfpServer, submitter: Path) -> Any:
    """A command of ours, as its user gives it."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "KF_PIPELINES_ENDPOINT": kfp.url,
            "OPENMOFI_KFP_TOKEN": "ours",
            "KUBECONFIG": str(submitter),
        }
        return subprocess.run(
            [sys.executable, "-m", "pipelines", *words],
            env={**os.environ, **settings}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def run_id(
    plane: ControlPlane,
    team: str,
    machine: Kubelet,
    kfp: KfpServer,
    ask: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A run that was submitted, with the pods of some of its steps."""
    config = tmp_path_factory.mktemp("config") / "mine.yaml"
    config.write_text(yaml.safe_dump(CRAWL))
    options = ("--config", str(config), "--unchecked", "--run-name", "mine", "--namespace", team)
    done = ask("submit", "curate", *options)
    assert done.returncode == 0, done.stderr
    run_id = str(done.stdout.split()[0])
    pods = step_pods(pack(PIPELINES["curate"]), CRAWL, run_id)
    shown = {title: pods[title] for title in (RUNNING, PENDING, KILLED, UNSTARTED)}
    create(plane, team, *shown.values())
    for title in (RUNNING, KILLED, UNSTARTED):
        name = shown[title]["metadata"]["name"]
        wait_for(lambda name=name: "nodeName" in plane.get("-n", team, "pod", name)["spec"])
    play_kubelets(plane, team, {title: pod["metadata"]["name"] for title, pod in shown.items()})
    wait_for(lambda: "Insufficient" in plane.kubectl("-n", team, "get", "pods", "-o", "yaml"))
    keys = {t: p["metadata"]["annotations"] for t, p in pods.items()}
    tasks = [
        {"display_name": keys[title]["workflows.argoproj.io/node-name"].split(".")[-2],
         "state": "FAILED" if title == KILLED else "RUNNING"}
        for title in shown
    ]  # fmt: skip
    kfp.end_run(run_id, "RUNNING", *tasks)
    yield run_id
    clear(plane, team)


def play_kubelets(plane: ControlPlane, team: str, names: dict[str, str]) -> None:
    """One step runs, one was killed, and of one an image can't be had, that of KFP's launcher."""
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": None,
                             "finishedAt": "2026-11-29T00:10:00Z"}}  # fmt: skip
    unpulled = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    starting = {"waiting": {"reason": "PodInitializing"}}
    for title, status in {
        RUNNING: {"phase": "Running"},
        KILLED: {"phase": "Failed", "containerStatuses": [container("main", killed)]},
        UNSTARTED: {
            "phase": "Pending",
            "initContainerStatuses": [container("kfp-launcher", unpulled)],
            "containerStatuses": [container("main", starting)],
        },
    }.items():
        set_status(plane, team, "pod", names[title], status)


def container(name: str, state: dict[str, Any]) -> dict[str, Any]:
    rest = {"ready": False, "restartCount": 0, "image": "i", "imageID": ""}
    return {"name": name, "state": state, **rest}


def test_status_tells_of_every_pod_what_holds_it_up(ask: Any, team: str, run_id: str) -> None:
    status = ask("status", "mine", "--namespace", team)
    assert (status.returncode, status.stderr) == (0, "")
    rows = [line.split(maxsplit=2) for line in status.stdout.splitlines()]
    pod = f"wf-{run_id[:8]}"
    no_gpu = (
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't match Pod's "
        "node affinity/selector"
    )
    for step, state, shown in [
        (RUNNING, "running", f"{pod}-{RUNNING} Running"),
        (PENDING, "running", f"{pod}-{PENDING} Pending: {no_gpu}"),
        (KILLED, "failed", f"{pod}-{KILLED} Failed: OOMKilled"),
        (UNSTARTED, "running", f"{pod}-{UNSTARTED} Pending: ImagePullBackOff, PodInitializing"),
    ]:
        assert [step, state, shown] in rows


def test_pods_that_may_not_be_seen_are_told_in_kubernetes_own_words(ask: Any, run_id: str) -> None:
    status = ask("status", run_id, "--namespace", "default")
    assert status.returncode == 0
    assert RUNNING in status.stdout
    assert "pods are not shown: kubectl get pods failed: Error from server (Forbidden): pods is " \
        "forbidden: User" in status.stdout  # fmt: skip


def test_a_steps_log_comes_from_its_machine(
    ask: Any, team: str, run_id: str, machine: Kubelet
) -> None:
    pod = f"wf-{run_id[:8]}-{RUNNING}"
    machine.write(pod, "17 groups planned", when="2026-11-29T00:00:01.000000001Z")
    logs = ask("logs", "mine", RUNNING, "--namespace", team)
    assert (logs.returncode, logs.stderr) == (0, "")
    assert logs.stdout == f"== {RUNNING}: {pod}\n17 groups planned\n"


def test_a_log_whose_machine_does_not_answer_is_told_in_a_line_and_kubernetes_own(
    plane: ControlPlane, ask: Any, team: str, run_id: str
) -> None:
    node = plane.get("-n", team, "pod", f"wf-{run_id[:8]}-{KILLED}")["spec"]["nodeName"]
    unheard = '{"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 9}}}}'
    plane.kubectl("patch", "node", node, "--subresource=status", "-p", unheard)
    logs = ask("logs", "mine", KILLED, "--namespace", team)
    assert logs.returncode == 2
    said, ours = logs.stderr.strip().splitlines()
    assert "dial tcp 127.0.0.1:9: connect: connection refused" in said
    assert ours.endswith(f"kubectl has no log of pod wf-{run_id[:8]}-{KILLED}")
