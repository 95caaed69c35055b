"""Scope: commands of k8s/README.md and docs/runbooks, run as they stand against an API server.

Controllers, scheduler and admission are Kubernetes' own. Nobody runs a pod: a test says of those
that have a node that they are ready or done (support/played_pods.py) and what their logs are.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.applied import README, checkout, readme_block, restricted_namespace, run
from support.control_plane import ControlPlane, lacking
from support.fake_nodes import Kind, kubelet, nodes
from support.manifests import SECRETS, named, render
from support.played_pods import played_pods
from support.runbooks import RUNBOOKS, Block, blocks, runbooks

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
# Lines of blocks marked `cluster` that are not run here, by how they begin, and why not.
LEFT_OUT = {
    "make images": "builds images: tests/docker",
    "podman push": "needs images and a registry",
    "export OPENMOFI_": "names of images for the next lines, with a digest to be filled in",
    "python -m pipelines": "speaks to Kubeflow Pipelines: tests/pipelines/cluster",
    "openmofi ": "reads the store and MLflow; what it does there is run in blocks marked `runs`",
    "mlflow db upgrade": "needs PostgreSQL, through the line before it",
    "kubectl -n $NAMESPACE port-forward": "needs a kubelet that reaches a pod",
}
KINDS = (Kind("server", 1, "63", "500Gi"), Kind("gpu", 1, "31", "250Gi", 8))
NODE = "gpu-0"


@dataclass(frozen=True)
class Cluster:
    """Nodes, volumes and a checkout; commands run in it by a person's own rights."""

    plane: ControlPlane
    folder: Path

    def run(self, code: str, namespace: str, **more: str) -> str:
        """What commands print; they must end well."""
        done = run(self.plane, code, self.folder, NAMESPACE=namespace, NODE=NODE, **more)
        assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
        assert "Warning: would violate" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("home")
    volumes = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"volume-{number}"},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"],
                     "hostPath": {"path": "/nowhere"}},
        }
        for number, size in enumerate(["10Gi", "10Gi", "100Gi", "100Gi"])
    ]  # fmt: skip
    whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": volumes})
    plane.kubectl("create", "-f", "-", given=whole)
    with kubelet(home) as logs, nodes(plane, KINDS, logs.port), played_pods(plane):
        yield Cluster(plane, checkout(home / "work"))
    plane.kubectl("delete", "pv", "--all", "--wait=false")


def lines(block: Block) -> list[str]:
    """The commands of a block, each on one line."""
    return [one for one in block.code.replace("\\\n", " ").splitlines() if one.strip()]


def reason(line: str) -> str:
    """Why a line is left out; empty if it is run."""
    return next((why for how, why in LEFT_OUT.items() if line.startswith(how)), "")


def follow(cluster: Cluster, path: Path, namespace: str) -> dict[str, str]:
    """Run a runbook's lines for a cluster in their order; what each has printed."""
    found = [one for block in blocks(path) if block.mark == "cluster" for one in lines(block)]
    return {one: cluster.run(one, namespace) for one in found if not reason(one)}


def printed(outputs: dict[str, str], part: str) -> str:
    (found,) = (output for line, output in outputs.items() if part in line)
    return found


def test_each_line_that_is_left_out_has_a_reason_and_each_reason_a_line() -> None:
    every = [
        line
        for path in runbooks()
        for block in blocks(path)
        if block.mark == "cluster"
        for line in lines(block)
    ]
    used = {how for how in LEFT_OUT if any(line.startswith(how) for line in every)}
    assert used == set(LEFT_OUT)
    ours = [line for line in every if not reason(line)]
    assert {line.split()[0] for line in ours} == {"kubectl", "sh"}
    assert len(ours) > 35


@pytest.fixture(scope="module")
def rolled_out(cluster: Cluster) -> Iterator[tuple[str, dict[str, str]]]:
    with restricted_namespace(cluster.plane) as name:
        yield name, follow(cluster, RUNBOOKS / "roll-out.md", name)
        cluster.run("kubectl -n $NAMESPACE delete -k k8s/mine --wait=false", name)


def test_roll_out(cluster: Cluster, rolled_out: tuple[str, dict[str, str]]) -> None:
    name, outputs = rolled_out
    assert "condition met" in printed(outputs, "job/openmofi-buckets")
    assert "successfully rolled out" in printed(outputs, "rollout status")
    # The dry run says the same of the same objects, and makes none.
    looked_at = printed(outputs, "--dry-run=server -k k8s/mine").replace(" (server dry run)", "")
    assert looked_at == printed(outputs, "apply -k k8s/mine")
    claims = cluster.plane.get("-n", name, "pvc")["items"]
    assert {claim["status"]["phase"] for claim in claims} == {"Bound"}


def taint(pool: str) -> dict[str, str]:
    return {"key": "openmofi/pool", "value": pool, "effect": "NoSchedule"}


def test_gpu_pool(cluster: Cluster, rolled_out: tuple[str, dict[str, str]]) -> None:
    name, _ = rolled_out
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "step"},
        "spec": named(render("local"), "Deployment", "openmofi-mlflow")["spec"]["template"]["spec"],
    }
    pod["spec"] |= {"nodeName": NODE, "serviceAccountName": "openmofi-pipeline"}
    cluster.plane.kubectl("-n", name, "create", "-f", "-", given=json.dumps(pod))
    outputs = follow(cluster, RUNBOOKS / "gpu-pool.md", name)
    table = [line.split() for line in printed(outputs, "custom-columns").splitlines()]
    assert [NODE, "gpu-training", "gpu-training", "8"] in table
    assert "requests.nvidia.com/gpu: 0/16" in printed(outputs, "get resourcequota")
    assert f"evicting pod {name}/step" in printed(outputs, "drain")
    node = cluster.plane.get("node", NODE)
    assert node["metadata"]["labels"]["openmofi/pool"] == "gpu-inference"
    assert node["spec"] == {"taints": [taint("gpu-inference")]}  # and nothing of cordon


def test_restore(cluster: Cluster, rolled_out: tuple[str, dict[str, str]]) -> None:
    name, _ = rolled_out
    outputs = follow(cluster, RUNBOOKS / "restore.md", name)
    assert "condition met" in printed(outputs, "job/dump-now --timeout")
    assert "condition met" in printed(outputs, "job/openmofi-restore --timeout")
    assert "successfully rolled out" in printed(outputs, "rollout status")


def test_upgrade(cluster: Cluster, rolled_out: tuple[str, dict[str, str]]) -> None:
    name, _ = rolled_out
    outputs = follow(cluster, RUNBOOKS / "upgrade.md", name)
    assert "condition met" in printed(outputs, "job/before-upgrade --timeout")
    assert "deployment.apps/openmofi-mlflow configured" in printed(outputs, "apply -k k8s/mine")
    # Scaled to none, it is back by the overlay alone.
    mlflow = cluster.plane.get("-n", name, "deployment", "openmofi-mlflow")
    assert (mlflow["spec"]["replicas"], mlflow["status"]["readyReplicas"]) == (1, 1)


def test_no_other_runbook_has_lines_that_could_be_run() -> None:
    tried = {"roll-out", "gpu-pool", "restore", "upgrade"}
    others = [block for path in runbooks() if path.stem not in tried for block in blocks(path)]
    assert len(others) > 20
    assert not [x for b in others if b.mark == "cluster" for x in lines(b) if not reason(x)]


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """README's *Install*, as it stands, and what it has printed."""
    block = readme_block("Install")
    name = re.findall(r"^NAMESPACE=(\S+)", block, re.M)[0]
    with restricted_namespace(cluster.plane, name):
        shutil.rmtree(cluster.folder.parent / "openmofi-secrets", ignore_errors=True)
        yield name, cluster.run(block, "")
        cluster.run("kubectl -n $NAMESPACE delete -k k8s/overlays/local --wait=false", name)


def test_install_of_the_readme(cluster: Cluster, installed: tuple[str, str]) -> None:
    name, told = installed
    assert "job.batch/openmofi-buckets condition met" in told
    assert 'deployment "openmofi-mlflow" successfully rolled out' in told
    found = cluster.plane.get("-n", name, "secret")["items"]
    made = {one["metadata"]["name"]: set(one["data"]) for one in found}
    assert made == SECRETS


def test_dumps_and_restore_of_the_readme(cluster: Cluster, installed: tuple[str, str]) -> None:
    name, _ = installed
    told = cluster.run(readme_block("Dumps and restore"), name)
    assert "job.batch/openmofi-restore condition met" in told


def test_gpu_pools_of_the_readme(cluster: Cluster, installed: tuple[str, str]) -> None:
    undo = (
        "kubectl label node $NODE openmofi/pool-; kubectl taint node $NODE openmofi/pool- || true"
    )
    cluster.run(undo, "")
    told = cluster.run(readme_block("GPU pools"), "")
    table = [line.split() for line in told.splitlines()]
    assert [NODE, "gpu-training", "gpu-training", "8"] in table
    assert ["server-0", "<none>", "<none>", "<none>"] in table
    assert cluster.plane.get("node", NODE)["spec"] == {"taints": [taint("gpu-training")]}


def test_a_drain_waits_for_a_server_with_a_volume(
    cluster: Cluster, installed: tuple[str, str], tmp_path: Path
) -> None:
    """README's *Drains*: until somebody deletes the pod."""
    name, _ = installed
    (delete,) = re.findall(r"`(kubectl -n \$NAMESPACE delete pod [\w-]+)`", README.read_text())
    words = "drain server-0 --ignore-daemonsets --delete-emptydir-data --force --pod-selector"
    command = ["kubectl", "--kubeconfig", str(cluster.plane.kubeconfig), *words.split()]
    command.append("app.kubernetes.io/name in (openmofi-postgres, openmofi-mlflow)")
    with (tmp_path / "told").open("wb") as told:
        drain = subprocess.Popen([*command, "--timeout=120s"], stdout=told, stderr=told)
        try:
            end = time.monotonic() + 60
            while (tmp_path / "told").read_text().count("violate the pod's disruption") < 2:
                assert time.monotonic() < end, (tmp_path / "told").read_text()
                time.sleep(0.3)
            assert drain.poll() is None
            for where in _namespaces(cluster.plane, "openmofi-postgres-0"):
                cluster.run(delete, where)
            assert drain.wait(timeout=60) == 0, (tmp_path / "told").read_text()
        finally:
            drain.kill()
            drain.wait()
            cluster.run("kubectl uncordon server-0", "")
    assert 'error when evicting pods/"openmofi-mlflow' not in (tmp_path / "told").read_text()
    cluster.run("kubectl -n $NAMESPACE rollout status deployment/openmofi-mlflow", name)


def _namespaces(plane: ControlPlane, pod: str) -> list[str]:
    found = plane.get("pods", "-A", f"--field-selector=metadata.name={pod}")["items"]
    return [one["metadata"]["namespace"] for one in found]


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
def test_kfps_plug_in_of_the_readme(cluster: Cluster, installed: tuple[str, str]) -> None:
    """The deployment is a stand-in with the container's name of KFP 2.17."""
    plane, (name, _) = cluster.plane, installed
    theirs = {"DBConfig": {"Driver": "mysql"}, "plugins": {"other": {}}}
    (cluster.folder / "config.json").write_text(json.dumps(theirs))
    with restricted_namespace(plane, "kubeflow"):
        server = named(render("local"), "Deployment", "openmofi-mlflow")
        server["metadata"]["name"] = "ml-pipeline"
        spec = server["spec"]["template"]["spec"]
        spec["containers"][0]["name"] = "ml-pipeline-api-server"
        plane.kubectl("-n", "kubeflow", "create", "-f", "-", given=json.dumps(server))
        words = ("-n", name, "create", "configmap", "kfp-launcher")
        plane.kubectl(*words, "--from-literal=defaultPipelineRoot=s3://kfp")
        cluster.run(readme_block("KFP's MLflow plug-in"), name)
        kept = plane.get("-n", "kubeflow", "configmap", "openmofi-kfp-config")["data"]
        merged = json.loads(kept["config.json"])
        assert merged["DBConfig"] == theirs["DBConfig"]
        assert set(merged["plugins"]) == {"other", "mlflow"}
        patched = plane.get("-n", "kubeflow", "deployment", "ml-pipeline")["spec"]["template"]
        (container,) = patched["spec"]["containers"]
        mounts = {one["mountPath"]: one.get("subPath") for one in container["volumeMounts"]}
        assert mounts == {"/tmp": None, "/config/config.json": "config.json"}
        launcher = plane.get("-n", name, "configmap", "kfp-launcher")["data"]
        assert set(launcher) == {"defaultPipelineRoot", "plugins.mlflow"}
        assert json.loads(launcher["plugins.mlflow"])
