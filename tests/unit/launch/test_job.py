"""Scope: the TrainJob's object: what Trainer's CRD and SDK take, and what its nodes will run."""

import json
import re
from typing import Any

import jsonschema
import pytest

from openmofi.cli import build_parser, main
from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.launch.config import NodesConfig
from openmofi.launch.job import Launch, train_job
from pipelines.placement import GPU_TRAINING
from support.crds import check, read_crd
from support.manifests import named, render

RECIPE = "0123456789abcdef" * 2
CONFIG = {"max_steps": 3, "objectives": [{"kind": "clip"}], "initial_model": "s3://b/$(HOME)/$x$$"}
LAUNCH = Launch(RECIPE, "s3://b/manifests/x.json", CONFIG, "mine", "train-2026")


def job(**nodes: Any) -> dict[str, Any]:
    return train_job(LAUNCH, NodesConfig(**{"count": 4, **nodes}), image="an-image@sha256:0")


def as_kubernetes_runs_it(trainer: dict[str, Any]) -> list[str]:
    """``$(NAME)`` becomes a variable's value, ``$$`` a dollar; all else stays."""

    def put(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else "EXPANDED"

    whole = [*trainer["command"], *trainer["args"]]
    return [re.sub(r"\$\$|\$\(\w+\)", put, one) for one in whole]


@pytest.mark.parametrize(
    "nodes", [{}, {"queue": "openmofi"}, {"accelerators": 0}, {"accelerators": 8, "cpus": "7500m"}]
)
def test_it_fits_trainers_crd(nodes: dict[str, Any]) -> None:
    check(job(**nodes), read_crd("trainjobs"))


@pytest.mark.parametrize("path", [["spec"], ["spec", "trainer"], ["spec", "runtimeRef"]])
def test_that_check_would_find_a_misspelt_field(path: list[str]) -> None:
    wrong = inner = job()
    for part in path:
        inner = inner[part]
    inner["podSpecOverride"] = []
    with pytest.raises(jsonschema.ValidationError, match="podSpecOverride"):
        check(wrong, read_crd("trainjobs"))


def test_trainers_sdk_reads_all_of_it() -> None:
    models = pytest.importorskip("kubeflow_trainer_api.models")
    read = models.TrainerV1alpha1TrainJob.from_dict(job(queue="openmofi"))
    assert read.to_dict() == job(queue="openmofi")


def test_it_is_named_by_the_recipe_and_its_pods_names_are_short_enough() -> None:
    name = job()["metadata"]["name"]
    assert name == f"openmofi-{RECIPE}"
    assert len(f"{name}-node-0-9999-abcde") <= 63


def test_its_nodes_run_our_own_command_with_every_byte_of_the_config() -> None:
    command = as_kubernetes_runs_it(job()["spec"]["trainer"])
    assert command[:4] == ["torchrun", "-m", "openmofi", "train"]
    read = build_parser().parse_args(command[3:])
    assert json.loads(read.config_json) == CONFIG
    assert (read.training_shards, read.name, read.pipeline_run) == (
        LAUNCH.training_shards, "mine", "train-2026",
    )  # fmt: skip


def test_a_name_that_looks_like_an_option_is_still_a_name() -> None:
    launch = Launch(RECIPE, "s3://b/x.json", {}, "--dry-run", "a run; rm -rf /")
    made = train_job(launch, NodesConfig(count=2), image="x")
    read = build_parser().parse_args(as_kubernetes_runs_it(made["spec"]["trainer"])[3:])
    assert (read.name, read.dry_run, read.pipeline_run) == ("--dry-run", False, "a run; rm -rf /")


def test_each_accelerator_is_a_rank_and_requests_are_limits() -> None:
    trainer = job(accelerators=8, memory="500Gi")["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (4, 8)
    assert trainer["resourcesPerNode"]["requests"] == trainer["resourcesPerNode"]["limits"]
    assert trainer["resourcesPerNode"]["limits"] == {
        "cpu": "14", "memory": "500Gi", "nvidia.com/gpu": "8",
    }  # fmt: skip


def test_a_node_without_accelerators_has_one_rank_whatever_its_cores() -> None:
    trainer = job(accelerators=0)["spec"]["trainer"]
    assert trainer["numProcPerNode"] == 1
    assert "nvidia.com/gpu" not in trainer["resourcesPerNode"]["limits"]


def test_a_queue_is_kueues_label_and_none_is_none() -> None:
    assert job(queue="q")["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    assert "kueue.x-k8s.io/queue-name" not in job()["metadata"]["labels"]


def test_the_job_ends_by_itself_where_nobody_watches_it() -> None:
    assert job(hours=2)["spec"]["activeDeadlineSeconds"] == 7200


def test_by_default_a_node_takes_what_a_step_asks_of_the_pool() -> None:
    nodes = NodesConfig()
    assert nodes.cpus == GPU_TRAINING.requested_cpus  # the limit would be a whole node
    for name in ("memory", "accelerator", "accelerators"):
        assert getattr(nodes, name) == getattr(GPU_TRAINING, name)


def test_the_runtime_is_ours_with_pool_secrets_and_shared_memory() -> None:
    runtime = named(render("gpu"), "ClusterTrainingRuntime", NodesConfig().runtime)
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (node["name"], container["name"]) == ("node", "node")  # as pods and logs are asked for
    assert pod["nodeSelector"] == {"openmofi/pool": GPU_TRAINING.name}
    assert {m["mountPath"] for m in container["volumeMounts"]} == {"/tmp", "/dev/shm"}
    assert {e["name"] for e in container["env"] if "valueFrom" in e} == {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    }  # fmt: skip
    assert not {"value", "env"} & set(job()["spec"]["trainer"])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"count": 0}, "count"),
        ({"queue": "My Queue"}, "queue"),
        ({"memory": "64 GB"}, "memory"),
        ({"accelerator": "gpu"}, "accelerator"),
        ({"nodes": 2}, "nodes"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"training_nodes: .*{field}"):
        parse_config(NodesConfig, wrong, where="training_nodes")


def test_numbers_may_come_as_kfp_makes_them() -> None:
    assert job(count=2.0, accelerators=1.0)["spec"]["trainer"]["numNodes"] == 2
    assert job(count=2.0) == job(count=2)


@pytest.mark.parametrize(
    ("text", "told"), [("{", "is not valid JSON"), ("[1]", "must hold an object, not a list")]
)
def test_a_wrong_config_on_the_command_line_is_one_line(
    text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--training-shards=x", "--name=m", f"--config-json={text}"]) == 2
    assert told in capsys.readouterr().err
