"""Scope: what Trainer's and JobSet's own controllers make of a job and of k8s/gpu's runtime."""

from collections.abc import Iterator
from typing import Any

import pytest

from openmofi.launch.api import KubernetesError
from openmofi.launch.config import NodesConfig
from openmofi.launch.job import train_job
from support.control_plane import ControlPlane
from support.manifests import render, templates
from support.trainer_controllers import lacking
from support.training_team import IMAGE, NAME, Team, launch_of, made, training_team
from support.waiting import wait_for

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
NODES = NodesConfig(count=2, accelerators=8)
INDEX = "batch.kubernetes.io/job-completion-index"


@pytest.fixture(scope="module")
def team(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with training_team(plane, tmp_path_factory.mktemp("team")) as found:
        yield found


@pytest.fixture(scope="module")
def job(team: Team) -> Iterator[dict[str, Any]]:
    """One job that is placed; these tests only look at it."""
    found = made(team, NODES)
    team.placed()
    yield found
    team.clear()


@pytest.fixture(scope="module")
def pods(team: Team, job: dict[str, Any]) -> list[dict[str, Any]]:
    return team.pods()


def node(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "node"
    return dict(container)


def test_a_node_runs_the_jobs_command_in_its_image_with_its_resources(
    job: dict[str, Any], pods: list[dict[str, Any]]
) -> None:
    trainer = job["spec"]["trainer"]
    assert len(pods) == 2
    for pod in pods:
        container = node(pod)
        assert container["image"] == IMAGE
        assert container["command"] == ["torchrun"]
        assert container["args"] == trainer["args"]
        assert container["resources"] == trainer["resourcesPerNode"]
        assert pod["status"]["qosClass"] == "Guaranteed"


def test_torchrun_is_told_who_is_who(pods: list[dict[str, Any]]) -> None:
    """The five variables that tests/unit/launch/test_on_nodes.py plays, and no more."""
    first = pods[0]["spec"]
    for index, pod in enumerate(pods):
        told = {one["name"]: one for one in node(pod)["env"] if one["name"].startswith("PET_")}
        rank = told.pop("PET_NODE_RANK")["valueFrom"]["fieldRef"]["fieldPath"]
        assert rank == f"metadata.annotations['{INDEX}']"
        assert pod["metadata"]["annotations"][INDEX] == str(index)
        assert {name: one["value"] for name, one in told.items()} == {
            "PET_NNODES": "2",
            "PET_NPROC_PER_NODE": "8",
            "PET_MASTER_ADDR": f"{first['hostname']}.{first['subdomain']}",
            "PET_MASTER_PORT": "29500",
        }


def test_the_first_nodes_name_is_one_that_a_service_resolves(
    team: Team, pods: list[dict[str, Any]]
) -> None:
    first = pods[0]
    service = team.plane.get("-n", team.namespace, "service", first["spec"]["subdomain"])["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"]  # ranks look for each other before they are ready
    assert service["selector"].items() <= first["metadata"]["labels"].items()
    assert len(first["spec"]["hostname"]) <= 63


def test_a_launcher_finds_the_pods_and_the_first_of_them(
    team: Team, pods: list[dict[str, Any]]
) -> None:
    found = {one["metadata"]["name"]: one for one in team.api.pods_of(NAME)}
    assert set(found) == {pod["metadata"]["name"] for pod in pods}
    assert sorted(one["metadata"]["labels"][INDEX] for one in found.values()) == ["0", "1"]


def covers(kept: Any, written: Any) -> bool:
    """Whether all that is written is kept; more may be."""
    if isinstance(written, dict):
        return all(name in kept and covers(kept[name], one) for name, one in written.items())
    if isinstance(written, list) and all(isinstance(one, dict) for one in written):
        return all(any(covers(other, one) for other in kept) for one in written)
    return bool(kept == written)


def test_nothing_of_the_runtime_is_lost(pods: list[dict[str, Any]]) -> None:
    """Account, pool, tolerations, contexts, secrets and settings by reference, /dev/shm."""
    template = templates(render("gpu"))["ClusterTrainingRuntime/openmofi-torch"]
    (container,) = template["spec"]["containers"]
    del container["image"], container["resources"]  # the job's
    for pod in pods:
        assert covers(pod["spec"], template["spec"])
        assert covers(pod["metadata"]["labels"], template["metadata"]["labels"])
    container["volumeMounts"][1]["mountPath"] = "/dev/shn"
    assert not covers(pods[0]["spec"], template["spec"])


def test_nodes_are_of_the_pool_and_one_a_pod(pods: list[dict[str, Any]]) -> None:
    assert len({pod["spec"]["nodeName"] for pod in pods} & {f"trains-{n}" for n in range(3)}) == 2


def test_a_nodes_failure_is_final_and_its_log_is_kept(
    team: Team, pods: list[dict[str, Any]]
) -> None:
    """JobSet and Kubernetes would start a container anew where it is, six times, alone."""
    (job,) = team.plane.get("-n", team.namespace, "jobs")["items"]
    assert job["spec"]["backoffLimit"] == 0
    assert {pod["spec"]["restartPolicy"] for pod in pods} == {"Never"}


def test_the_quota_counts_the_nodes(team: Team, pods: list[dict[str, Any]]) -> None:
    def used() -> str:
        quota = team.plane.get("-n", team.namespace, "quota", "openmofi")
        return str(quota["status"]["used"]["requests.nvidia.com/gpu"])

    wait_for(lambda: used() == "16")


def test_a_runtime_that_is_not_there_is_told_as_that(team: Team, job: dict[str, Any]) -> None:
    nodes = NodesConfig(count=2, runtime="none-such")
    wanted = train_job(launch_of("f" * 32), nodes, image=IMAGE)
    with pytest.raises(KubernetesError, match="ClusterTrainingRuntime") as error:
        team.api.create_job(wanted)
    told = str(error.value)
    assert error.value.status == 403
    assert "must be created before the TrainJob is created" in told
    assert "\n" not in told
    assert "has the role" not in told


def test_a_job_past_the_quota_says_so_and_makes_no_pod(team: Team, job: dict[str, Any]) -> None:
    """16 GPUs are taken; the launcher sees no pod, the events say why."""
    wanted = train_job(launch_of("e" * 32), NODES, image=IMAGE)
    try:
        team.api.create_job(wanted)
        name = wanted["metadata"]["name"]

        def refused() -> bool:
            events = team.plane.get("-n", team.namespace, "events")["items"]
            mine = [one for one in events if one["involvedObject"]["name"].startswith(name)]
            return any("exceeded quota: openmofi" in one["message"] for one in mine)

        wait_for(refused)
        assert team.api.pods_of(name) == []
    finally:
        team.kubectl("delete", "trainjob", wanted["metadata"]["name"], "--ignore-not-found")
