"""Scope: where a real scheduler puts the pods of every step, by each pools file.

The pods are those that KFP's driver makes (support/kfp_pods.py). They pass Pod Security, quota and
limits of k8s/; nodes are objects without a machine, labelled and tainted by k8s/README.md.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.cluster.versions import pack
from pipelines.compile import build
from pipelines.nodes import with_launcher
from pipelines.placement import GPU_TRAINING, POOLS, STEPS, Settings
from pipelines.pools import Pools, load_pools
from support.control_plane import ControlPlane
from support.fake_nodes import Kind, nodes
from support.kfp_pods import step_pods
from support.manifests import named, render, templates
from support.run_namespaces import clear, create, run_namespace, set_status
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

SAMPLES = Path(__file__).parents[3] / "configs/pools"
GPU = "nvidia.com/gpu"
SPOT = "cloud.google.com/gke-spot"
# What such machines offer to pods: less than they have. The pools files say which are meant.
CLOUD_GPUS: dict[str, Any] = {
    "tainted": True,
    "taints": {SPOT: "true", GPU: "present"},
    "labels": {SPOT: "true"},
}
CLUSTERS = {
    "default": (
        Kind("cpu", 7, "7910m", "57Gi", pool="cpu"),
        Kind("inference", 5, "7910m", "40Gi", 1, pool="gpu-inference", tainted=True),
        Kind("training", 3, "15890m", "80Gi", 1, pool="gpu-training", tainted=True),
    ),
    "cloud-spot": (
        Kind("cpu", 18, "7910m", "28Gi", pool="cpu"),
        Kind("inference", 5, "7910m", "29Gi", 1, pool="gpu-inference", **CLOUD_GPUS),
        Kind("training", 3, "47810m", "170Gi", 4, pool="gpu-training", **CLOUD_GPUS),
    ),
    "single-gpu": (Kind("gpu", 5, "15890m", "58Gi", 1, pool="gpu", tainted=True),),
    "cpu-only": (Kind("plain", 5, "7910m", "57Gi"),),
}
# Where nothing of ours belongs: a plain node but for `cpu-only`, a GPU of somebody else's, and one
# of ours whose device plug-in is missing.
DECOYS = (
    Kind("other", 1, "63", "500Gi"),
    Kind("others-gpu", 1, "63", "500Gi", 8),
    Kind("without-plugin", 1, "63", "500Gi", pool="gpu-training", tainted=True),
    Kind("pluginless", 1, "63", "500Gi", pool="gpu-inference", tainted=True),
)


@pytest.fixture(scope="module")
def team(plane: ControlPlane) -> Iterator[str]:
    with run_namespace(plane) as name:
        yield name


@pytest.fixture(autouse=True)
def _no_pods_are_left(plane: ControlPlane, team: str) -> Iterator[None]:
    yield
    clear(plane, team)


def pools_of(name: str) -> Pools:
    return Pools(Settings()) if name == "default" else load_pools(SAMPLES / f"{name}.yaml")


def pods_of(pools: Pools, pipeline: str, **values: Any) -> dict[str, dict[str, Any]]:
    """By title, with the arguments that a submit gives."""
    built = build(pipeline, pools)
    arguments = pools.applied(values, built.component_spec.inputs)
    return step_pods(pack(built), arguments)


def step_of(title: str) -> str:
    """The name of what a title runs: ``train-baseline`` is a ``train-model``."""
    aliases = {"plan": "plan-shards", "ingest": "ingest-pairs", "train": "train-model",
               "assemble": "assemble-dataset", "build": "build-shards"}  # fmt: skip
    return title if title in STEPS else aliases[title.partition("-")[0]]


def placed(plane: ControlPlane, team: str) -> dict[str, str]:
    """The node of every pod that has one."""
    found = plane.get("-n", team, "pods")["items"]
    return {one["metadata"]["name"]: one["spec"].get("nodeName", "") for one in found}


def where(plane: ControlPlane, team: str, *pods: dict[str, Any]) -> dict[str, str]:
    """The nodes that pods are given, once all have one."""
    create(plane, team, *pods)

    def all_placed() -> dict[str, str]:
        found = placed(plane, team)
        return found if all(found.values()) else {}

    try:
        return wait_for(all_placed, 30.0)
    except AssertionError:
        waiting = [name for name, node in placed(plane, team).items() if not node]
        raise AssertionError({name: held_up(plane, team, name) for name in waiting}) from None


def held_up(plane: ControlPlane, team: str, pod: str) -> str:
    """Why the scheduler gives it no node; empty if it does not say so."""
    status = plane.get("-n", team, "pod", pod)["status"]
    said = [one for one in status.get("conditions", ()) if one["type"] == "PodScheduled"]
    return said[0].get("message", "") if said and said[0]["status"] == "False" else ""


def amount(written: str) -> Decimal:
    units = {"m": Decimal("0.001"), "Mi": Decimal(2**20), "Gi": Decimal(2**30)}
    for unit, size in units.items():
        if written.endswith(unit):
            return Decimal(written.removesuffix(unit)) * size
    return Decimal(written)


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_step_is_given_a_node_of_its_pool_and_no_other(
    plane: ControlPlane, team: str, name: str
) -> None:
    pods: dict[str, dict[str, Any]] = {}
    for pipeline in ("full", "refresh", "recut"):
        pods = {**pods_of(pools_of(name), pipeline), **pods}
    assert {step_of(title) for title in pods} == set(STEPS)
    with nodes(plane, [*CLUSTERS[name], *(DECOYS[2:] if name == "cpu-only" else DECOYS)]):
        for pool in POOLS:
            of_pool = {t: p for t, p in pods.items() if STEPS[step_of(t)].pool.name == pool}
            found = where(plane, team, *of_pool.values())
            wrong = {
                title: node for title, node in found.items() if kind_of(node) != pool_of(name, pool)
            }
            assert not wrong
            check_room(plane, team)
            clear(plane, team)


def kind_of(node: str) -> str:
    return node.rpartition("-")[0]


def pool_of(name: str, pool: str) -> str:
    """The kind of node that a pools file means by a pool."""
    only = {"single-gpu": "gpu", "cpu-only": "plain"}
    return only.get(name, pool.removeprefix("gpu-"))


def check_room(plane: ControlPlane, team: str) -> None:
    """No node has promised more than it offers, GPUs least of all; a GPU step has one."""
    offered = {one["metadata"]["name"]: one["status"] for one in plane.get("nodes")["items"]}
    promised: Counter[tuple[str, str]] = Counter()
    for pod in plane.get("-n", team, "pods")["items"]:
        for container in pod["spec"]["containers"]:
            for kind, asked in container["resources"].get("requests", {}).items():
                promised[pod["spec"]["nodeName"], kind] += amount(asked)  # type: ignore[assignment]
    assert promised
    for (node, kind), sum_of_all in promised.items():
        if sum_of_all:
            assert sum_of_all <= amount(offered[node]["allocatable"][kind]), (node, kind)


def test_a_step_of_a_gpu_pool_asks_for_its_gpus(plane: ControlPlane, team: str) -> None:
    """That is where a number as the parameter's type asked for none, and nobody was told."""
    for name, gpus in {"default": "1", "cloud-spot": "4"}.items():
        pods = pods_of(pools_of(name), "train")
        main = pods["train-model"]["spec"]["containers"][1]
        assert main["resources"]["limits"][GPU] == gpus
    with nodes(
        plane, [Kind("without-plugin", 1, "63", "500Gi", pool="gpu-training", tainted=True)]
    ):
        create(plane, team, pods_of(pools_of("default"), "train")["train-model"])
        said = wait_for(lambda: held_up(plane, team, "wf-a-run-train-model"))
        assert f"1 Insufficient {GPU}" in said


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_step_that_only_launches_takes_a_cpu_node_and_no_gpu(
    plane: ControlPlane, team: str, name: str
) -> None:
    launching = with_launcher({"training_nodes": {"count": 2}})
    pod = pods_of(pools_of(name), "train", **launching)["train-model"]
    assert pod["spec"]["containers"][1]["resources"]["limits"][GPU] == "0"
    one_each = [replace(kind, number=1) for kind in CLUSTERS[name]]
    with nodes(plane, [*one_each, *DECOYS[2:]]):
        (node,) = where(plane, team, pod).values()
    assert kind_of(node) == pool_of(name, "cpu")


def test_the_nodes_of_a_training_job_get_a_gpu_node_each(plane: ControlPlane, team: str) -> None:
    template = templates(render("gpu"))["ClusterTrainingRuntime/openmofi-torch"]
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "spec": {**template["spec"], "restartPolicy": "Never"},
         "metadata": {"name": f"node-{number}", "labels": template["metadata"]["labels"]}}
        for number in range(3)
    ]  # fmt: skip
    training = next(kind for kind in CLUSTERS["default"] if kind.pool == GPU_TRAINING.name)
    with nodes(plane, [training, *DECOYS]):
        found = where(plane, team, *pods)
    assert sorted(found.values()) == sorted(training.names)


def test_a_request_for_all_cpus_of_a_node_waits_and_the_default_does_not(
    plane: ControlPlane, team: str, tmp_path: Path
) -> None:
    (tmp_path / "pools.yaml").write_text("pools: {cpu: {cpus: 4}}\n")
    greedy = pods_of(load_pools(tmp_path / "pools.yaml"), "curate")["ingest-pairs"]
    greedy["metadata"]["name"] = "greedy"
    modest = pods_of(pools_of("default"), "curate")["ingest-pairs"]
    with nodes(plane, [Kind("four", 2, "3920m", "28Gi", pool="cpu")]):
        create(plane, team, greedy)
        assert "2 Insufficient cpu" in wait_for(lambda: held_up(plane, team, "greedy"))
        create(plane, team, modest)
        wait_for(lambda: placed(plane, team)[modest["metadata"]["name"]])
        assert not placed(plane, team)["greedy"]


def test_groups_wait_for_the_one_gpu_and_go_on_when_it_is_free(
    plane: ControlPlane, team: str
) -> None:
    pod = pods_of(pools_of("single-gpu"), "curate")["embed-images"]
    first, second = json.loads(json.dumps([pod, pod]))
    first["metadata"]["name"], second["metadata"]["name"] = "group-1", "group-2"
    with nodes(plane, [Kind("gpu", 1, "15890m", "58Gi", 1, pool="gpu", tainted=True)]):
        where(plane, team, first)
        create(plane, team, second)
        assert f"1 Insufficient {GPU}" in wait_for(lambda: held_up(plane, team, "group-2"))
        set_status(plane, team, "pod", "group-1", {"phase": "Succeeded"})
        wait_for(lambda: placed(plane, team)["group-2"] == "gpu-0")


def test_a_run_takes_no_more_gpus_than_the_quota_gives_the_namespace(
    plane: ControlPlane, team: str
) -> None:
    pod = pods_of(pools_of("cloud-spot"), "train")["train-model"]
    most = int(named(render("gpu"), "ResourceQuota", "openmofi")["spec"]["hard"][f"requests.{GPU}"])
    pods = json.loads(json.dumps([pod] * (most // 4 + 1)))
    for number, one in enumerate(pods):
        one["metadata"]["name"] = f"training-{number}"
    create(plane, team, *pods[:-1])
    given = json.dumps(pods[-1])
    refused = plane.run("kubectl", "-n", team, "create", "-f", "-", given=given)
    assert refused.returncode
    assert f"exceeded quota: openmofi, requested: requests.{GPU}=4" in refused.stderr


def test_no_pool_was_forgotten() -> None:
    assert {kind.pool for kind in CLUSTERS["default"]} == set(POOLS)
    assert set(CLUSTERS) - {"default"} == {path.stem for path in SAMPLES.glob("*.yaml")}
