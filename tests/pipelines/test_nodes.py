"""Scope: training on several nodes, as a pipeline's configuration and parameters have it."""

import pytest
import yaml

from openmofi.errors import InputError
from pipelines.__main__ import main
from pipelines.compile import PIPELINES
from pipelines.config import load_config
from pipelines.placement import CPU, GPU_TRAINING

FILES = {
    "train": {"training_shards": "s3://b/x.json", "evaluation_data": "s3://b/eval"},
    "refresh": {"source": "s3://b/c", "labeler": "ViT-B-32", "wordnet": "wn"},
}
FILES["refresh"]["evaluation_data"] = "s3://b/eval"
FILES["full"] = FILES["refresh"]


@pytest.fixture
def arguments(tmp_path):
    def read(name, *settings):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(FILES[name]))
        return load_config(name, path, list(settings)).arguments("a-run")

    return read


def of_training_pool(values):
    prefix = f"{GPU_TRAINING.prefix}_"
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


@pytest.mark.parametrize("name", FILES)
def test_a_step_that_only_launches_is_small_and_holds_no_gpu(arguments, name):
    found = arguments(name, "training_nodes.count=4", "training_nodes.queue=openmofi")
    pool = of_training_pool(found)
    assert pool["accelerators"] == "0"
    assert pool["selector"] == {"openmofi/pool": CPU.name}
    assert [one["value"] for one in pool["tolerations"]] == [CPU.name]
    assert (pool["cpus"], pool["memory"]) == ("1", "4Gi")
    assert found["training_nodes"] == {"count": 4, "queue": "openmofi"}
    assert found.keys() <= PIPELINES[name].component_spec.inputs.keys()


@pytest.mark.parametrize("name", FILES)
def test_one_node_is_a_step_as_ever(arguments, name):
    assert of_training_pool(arguments(name)) == {}
    assert of_training_pool(arguments(name, "training_nodes.count=1")) == {}


@pytest.mark.parametrize("name", FILES)
def test_every_training_of_a_pipeline_is_told_its_nodes(name):
    spec = PIPELINES[name].pipeline_spec
    dags = [spec.root.dag, *(c.dag for c in spec.components.values())]
    tasks = [
        task
        for dag in dags
        for task in dag.tasks.values()
        if task.component_ref.name.startswith("comp-train-model")
    ]
    assert len(tasks) == {"train": 1, "refresh": 1, "full": 3}[name]
    for task in tasks:
        source = task.inputs.parameters["nodes"].component_input_parameter
        assert source.endswith("training_nodes")


def test_a_batch_that_the_ranks_do_not_divide_is_told_at_once(arguments):
    with pytest.raises(InputError, match=r"batch_size 128 is that of all ranks .* 3 nodes with 1"):
        arguments("train", "training_nodes.count=3")
    assert arguments("train", "training_nodes.count=3", "training.batch_size=129")


def test_a_machine_that_is_no_cluster_says_so_before_anything_runs(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(FILES["train"]))
    command = ["run", "train", "--config", str(path), "--out", str(tmp_path / "runs")]
    assert main([*command, "--set", "training_nodes.count=2"]) == 2
    assert "'training_nodes': several nodes need a cluster" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
