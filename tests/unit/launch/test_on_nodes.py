"""Scope: training by a TrainJob, whose command a controller runs by torchrun on two nodes."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.launch import train as train_module
from openmofi.launch.api import Kubernetes, Place
from openmofi.launch.config import NodesConfig
from openmofi.launch.follow import TrainJobError
from openmofi.launch.job import Launch
from openmofi.launch.train import train_model, train_on_nodes
from openmofi.storage import open_store
from openmofi.training.run import train_model as train_here
from openmofi.versions import read_manifest
from stack.swift import free_ports
from support.training import make_samples, short_training, write_training_shards
from support.trainjob_server import IMAGE, Cluster

NODES = NodesConfig(count=2, accelerators=0)


class Controller:
    """Runs a job's command on every node, with what Trainer's torch policy sets."""

    def __init__(self, cluster: Cluster, port: int) -> None:
        self.cluster, self.port = cluster, port
        self.processes: list[subprocess.Popen[str]] = []
        self.threads: list[threading.Thread] = []

    def __call__(self, job: dict[str, Any]) -> None:
        trainer = job["spec"]["trainer"]
        assert trainer["image"] == IMAGE
        nodes = [self.cluster.start_node(index) for index in range(trainer["numNodes"])]
        for index, pod in enumerate(nodes):
            environment = {
                "PET_NNODES": str(trainer["numNodes"]),
                "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
                "PET_NODE_RANK": str(index),
                "PET_MASTER_ADDR": "127.0.0.1",
                "PET_MASTER_PORT": str(self.port),
            }
            command = [*trainer["command"], *(a.replace("$$", "$") for a in trainer["args"])]
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            self.processes.append(
                subprocess.Popen(
                    command, env={**os.environ, **environment, "PATH": path}, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
            self.threads.append(threading.Thread(target=self._log, args=(pod, index)))
        self.threads.append(threading.Thread(target=self._end, args=(nodes,)))
        for thread in self.threads:
            thread.start()

    def _log(self, pod: str, index: int) -> None:
        output = self.processes[index].stdout
        assert output is not None
        for line in output:
            self.cluster.write(pod, line)

    def _end(self, pods: list[str]) -> None:
        codes = [process.wait() for process in self.processes]
        for thread in self.threads[:-1]:
            thread.join()
        for pod, code in zip(pods, codes, strict=True):
            self.cluster.end_node(pod, abs(code), at="2026-11-29T00:10:00Z")
        self.cluster.set_condition("Failed" if any(codes) else "Complete", "jobset ended")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return short_training(tmp_path, monkeypatch)


def test_two_nodes_train_the_run_that_one_process_would(
    kubernetes: Kubernetes,
    cluster: Cluster,
    settings: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shards = write_training_shards(tmp_path / "root", make_samples(48, seed=1))
    cluster.on_made = controller = Controller(cluster, free_ports(1)[0])
    launch = Launch("", shards, settings, "mine", "train-2026")
    model = train_on_nodes(launch, NODES, kubernetes, poll_s=0.1)
    for thread in controller.threads:
        thread.join()
    told = capsys.readouterr().err
    assert told.count("step 4/4") == 1, told  # the first rank's log, once
    assert cluster.jobs == {}
    origin = read_manifest(model, "model").content["origin"]
    (record,) = [info.key for info in open_store(str(tmp_path / "root")).list("trained/")]
    assert record == f"trained/{origin['recipe']}.json"
    # Found by the recipe: by one process, and by another launcher, which makes no job.
    assert train_here(shards, config=settings, name="alone") == model
    assert train_on_nodes(launch, NODES, kubernetes) == model
    assert cluster.made == 1


def test_a_training_that_fails_on_its_nodes_fails_the_step_by_its_own_words(
    kubernetes: Kubernetes, cluster: Cluster, settings: dict[str, Any], tmp_path: Path
) -> None:
    shards = write_training_shards(tmp_path / "root", make_samples(48, seed=1))

    def broken(job: dict[str, Any]) -> None:
        # One node, and no torchrun around it: what its launcher reads is the same, and sooner.
        trainer = {**job["spec"]["trainer"], "command": [sys.executable], "numNodes": 1}
        trainer["args"] = [
            "--training-shards=/nowhere.json" if one.startswith("--training-shards") else one
            for one in trainer["args"]
        ]
        Controller(cluster, 0)({"spec": {"trainer": trainer}})

    cluster.on_made = broken
    with pytest.raises(TrainJobError, match=r"(?s)exit code 2; its last lines:.*nowhere.json"):
        train_on_nodes(Launch("", shards, settings, "m"), NODES, kubernetes, poll_s=0.1)


def test_what_can_not_be_trained_is_told_before_a_job_is_made(
    kubernetes: Kubernetes, cluster: Cluster, settings: dict[str, Any], tmp_path: Path
) -> None:
    shards = write_training_shards(tmp_path / "root", make_samples(48, seed=1))
    five = NodesConfig(count=5, accelerators=1)
    with pytest.raises(InputError, match="batch_size 24 is that of all 5 ranks together"):
        train_on_nodes(Launch("", shards, settings, "m"), five, kubernetes)
    with pytest.raises(InputError, match="nowhere"):
        train_on_nodes(Launch("", f"{tmp_path}/nowhere.json", settings, "m"), NODES, kubernetes)
    with pytest.raises(InputError, match="max_stepps"):
        train_on_nodes(Launch("", shards, {"max_stepps": 1}, "m"), NODES, kubernetes)
    assert cluster.calls == []


def test_one_node_is_this_process_and_more_need_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        "openmofi.training.run.train_model", lambda *a, **k: made.append((a, k)) or "uri"
    )
    options: dict[str, Any] = {"config": {"max_steps": 1}, "name": "m", "pipeline_run": "r"}
    assert train_model("x.json", **options) == "uri"
    assert train_model("x.json", **options, nodes={"count": 1.0}) == "uri"
    assert made == [(("x.json",), options)] * 2
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match="several nodes need a cluster"):
        train_model("x.json", **options, nodes={"count": 2})
    with pytest.raises(InputError, match=r"training_nodes: .*cuont"):
        train_model("x.json", **options, nodes={"cuont": 2})


def test_a_step_on_several_nodes_asks_as_its_pod_would(
    url: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, kubernetes: Kubernetes
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(Place, "of_this_pod", classmethod(lambda _: kubernetes.place))
    monkeypatch.setattr(train_module, "train_on_nodes", lambda *a: asked.append(a) or "uri")
    assert train_model("x.json", name="m", pipeline_run="r", nodes={"count": 3}) == "uri"
    ((launch, nodes, api),) = asked
    assert launch == Launch("", "x.json", {}, "m", "r")
    assert (nodes.count, api.place) == (3, kubernetes.place)
