"""Scope: a launcher of several nodes against a real API server, by its own account and rights.

Its job is a TrainJob by Trainer's CRD; Trainer, JobSet and the node's kubelet are played.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.images import TRAINING
from pipelines.cluster.versions import pack
from pipelines.compile import PIPELINES
from pipelines.nodes import with_launcher
from support import pod_launcher
from support.control_plane import ControlPlane
from support.fake_nodes import Kind, Kubelet, kubelet, nodes
from support.kfp_pods import step_pods
from support.manifests import K8S
from support.played_trainer import Trainer
from support.run_namespaces import create, run_namespace
from support.runbooks import blocks
from support.trainjob_launcher import RECIPE
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

NAME = f"openmofi-{RECIPE}"
MODEL = "s3://b/manifests/model/m.json"
OWN_POD = "wf-a-run-train-model"
MULTI_NODE = K8S.parent / "docs/multi-node.md"
Launcher = subprocess.Popen[str]


@pytest.fixture(scope="module")
def machine(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """The kubelet of the one node with a GPU."""
    with kubelet(tmp_path_factory.mktemp("kubelet")) as found:
        training = Kind("training", 1, "15890m", "80Gi", 1, pool="gpu-training", tainted=True)
        with nodes(plane, [training], found.port):
            yield found


@pytest.fixture(scope="module")
def team(plane: ControlPlane) -> Iterator[str]:
    """A namespace with the launching step's own pod."""
    launching = with_launcher({"training_nodes": {"count": 2}})
    with run_namespace(plane) as name:
        create(plane, name, step_pods(pack(PIPELINES["train"]), launching)["train-model"])
        yield name


@pytest.fixture
def trainer(plane: ControlPlane, team: str) -> Iterator[Trainer]:
    found = Trainer(plane, team, NAME)
    yield found
    for pod in plane.get("-n", team, "pods")["items"]:
        if pod["metadata"]["name"] != OWN_POD:
            found.let_go(pod["metadata"]["name"])
    plane.kubectl("-n", team, "delete", "trainjobs", "--all", "--timeout=90s")


@pytest.fixture
def account(plane: ControlPlane, team: str, tmp_path: Path) -> Path:
    return write_account(plane, team, "openmofi-pipeline", tmp_path)


def write_account(plane: ControlPlane, team: str, name: str, folder: Path) -> Path:
    """What Kubernetes mounts into a pod of the account."""
    (folder / "token").write_text(plane.kubectl("-n", team, "create", "token", name))
    (folder / "ca.crt").write_bytes(plane.authority.read_bytes())
    (folder / "namespace").write_text(team)
    return folder


def start_in(plane: ControlPlane, folder: Path, run: str = "a") -> Launcher:
    address = plane.url.removeprefix("https://").split(":")
    place = dict(zip(("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"), address, strict=True))
    return subprocess.Popen(
        [sys.executable, pod_launcher.__file__, str(folder), run],
        env={**os.environ, **place, "HOSTNAME": OWN_POD},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def launch(plane: ControlPlane, account: Path) -> Iterator[Callable[..., Launcher]]:
    begun: list[Launcher] = []

    def start(run: str = "a") -> Launcher:
        begun.append(start_in(plane, account, run))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def followed(machine: Kubelet) -> None:
    """Wait until a launcher has read the log anew."""
    before = len(machine.asked)
    wait_for(lambda: len(machine.asked) > before)


def test_one_job_survives_a_launcher_that_is_killed_and_the_next_has_its_result(
    launch: Callable[..., Launcher], trainer: Trainer, machine: Kubelet, account: Path
) -> None:
    first = launch()
    made = trainer.job()
    assert made["spec"]["trainer"]["image"] == TRAINING
    pod, waiting = trainer.add_node(0), trainer.add_node(1)
    machine.write(pod, "step 1/3", when="2026-11-29T00:00:01.000000001Z")
    trainer.start(pod)
    followed(machine)
    first.kill()
    first.wait()
    second = launch()
    followed(machine)
    machine.write(pod, "step 2/3", when="2026-11-29T00:00:01.000000001Z")
    machine.write(pod, "step 3/3", when="2026-11-29T00:00:02.000000001Z")
    followed(machine)
    assert [one["metadata"]["uid"] for one in trainer.jobs()] == [made["metadata"]["uid"]]
    (account / "model").write_text(MODEL)
    trainer.end(pod, 0)
    trainer.set_condition("Complete", "all jobs are complete")
    out, err = second.communicate(timeout=90)
    assert out.strip() == MODEL, err
    assert f"TrainJob {NAME}: found, 2 nodes, made by run a; followed" in err
    assert f"1 of 2 nodes have started; {waiting}: 0/1 nodes are available: 1 Insuffic" in err
    told = [line for line in err.splitlines() if line.startswith("step")]
    assert told == ["step 1/3", "step 2/3", "step 3/3"]
    trainer.let_go(waiting)
    wait_for(lambda: not trainer.jobs())


def test_a_launcher_that_is_told_to_stop_takes_its_job_away_and_its_nodes_save(
    launch: Callable[..., Launcher], trainer: Trainer, machine: Kubelet
) -> None:
    process = launch()
    pod = trainer.add_node(0)
    trainer.start(pod)
    followed(machine)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 143, err
    assert "the job is deleted, training saves" in err
    assert not trainer.jobs()
    asked = wait_for(lambda: trainer.pod(pod)["metadata"].get("deletionGracePeriodSeconds"))
    assert asked == 300


def test_a_launcher_that_found_anothers_job_leaves_it(
    launch: Callable[..., Launcher], trainer: Trainer, machine: Kubelet
) -> None:
    launch("a")
    pod = trainer.add_node(0)
    trainer.start(pod)
    followed(machine)
    guest = launch("b")
    assert "found, 2 nodes, made by run a" in (guest.stderr.readline() if guest.stderr else "")
    guest.send_signal(signal.SIGTERM)
    _, err = guest.communicate(timeout=90)
    assert guest.returncode == 143, err
    assert "the job is run a's, kept" in err
    assert "deletionTimestamp" not in trainer.job()["metadata"]


def test_a_job_that_somebody_deletes_fails_the_launcher_by_name(
    launch: Callable[..., Launcher], trainer: Trainer
) -> None:
    process = launch()
    trainer.job()
    trainer.plane.kubectl("-n", trainer.namespace, "delete", "trainjob", NAME)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert f"TrainJobError: TrainJob {NAME} was deleted by somebody before it ended" in err


def test_an_earlier_job_that_failed_is_made_anew_when_its_last_node_is_gone(
    launch: Callable[..., Launcher], trainer: Trainer, machine: Kubelet
) -> None:
    first = launch()
    pod = trainer.add_node(0)
    machine.write(pod, "out of memory", when="2026-11-29T00:00:01.000000001Z")
    trainer.start(pod)
    slow = trainer.add_node(1)
    trainer.end(pod, 137, "OOMKilled")
    trainer.set_condition("Failed", "jobset failed")
    _, err = first.communicate(timeout=90)
    assert f"failed: jobset failed; first {pod}: OOMKilled, exit code 137; its last lines:" in err
    assert err.rstrip().endswith("out of memory")
    earlier = trainer.job()["metadata"]["uid"]
    wait_for(lambda: trainer.has_node(slow))  # the first one's, which is free again
    second = launch()
    err = second.stderr
    assert err
    assert "an earlier one has ended; made anew" in err.readline()
    assert f"waits for an earlier one's end: {slow} on training-0 is to end by" in err.readline()
    assert not trainer.jobs()
    trainer.let_go(slow)
    assert "made, 2 nodes" in err.readline()
    assert trainer.job()["metadata"]["uid"] != earlier


def test_an_account_without_the_role_is_refused_in_one_line(
    plane: ControlPlane, team: str, tmp_path: Path
) -> None:
    """The submitter may read pods, and make no jobs."""
    folder = write_account(plane, team, "openmofi-submitter", tmp_path)
    _, err = start_in(plane, folder).communicate(timeout=90)
    assert "(403)" in err
    assert f'User "system:serviceaccount:{team}:openmofi-submitter" cannot get resource' in err
    assert err.rstrip().endswith("k8s/gpu has the role that a launcher needs, of the service "
                                 "account openmofi-pipeline")  # fmt: skip
    assert len(err.strip().splitlines()) == 1


def test_what_the_documents_ask_of_a_job_is_answered(
    launch: Callable[..., Launcher], trainer: Trainer, machine: Kubelet
) -> None:
    """docs/multi-node.md, as it is written: jobs, pods, the log of every node, the deletion."""
    process = launch()
    pod = trainer.add_node(0)
    machine.write(pod, "step 1/3", when="2026-11-29T00:00:01.000000001Z")
    trainer.start(pod)
    (code,) = (b.code for b in blocks(MULTI_NODE) if "get trainjobs" in b.code)
    given = f"NAMESPACE={trainer.namespace} RECIPE={RECIPE}\n"
    done = trainer.plane.run("bash", "-euc", given + code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(pod) == 2  # in the list, and before the line of its log
    assert f"[pod/{pod}/node] step 1/3" in done.stdout
    assert f'trainjob.trainer.kubeflow.org "{NAME}" deleted' in done.stdout
    _, err = process.communicate(timeout=90)
    assert "was deleted by somebody before it ended" in err
