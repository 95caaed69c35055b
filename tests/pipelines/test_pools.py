"""A pools file: what it may say, what becomes an argument and what is compiled in."""

import argparse
import re
from pathlib import Path

import pytest
import yaml

from openmofi.errors import InputError
from pipelines.__main__ import main
from pipelines.cluster.content import read_content
from pipelines.compile import PIPELINES, build
from pipelines.placement import CPU, GPU_TRAINING, POOLS, STEPS, Settings
from pipelines.pools import load_pools

SAMPLES = sorted((Path(__file__).parents[2] / "configs/pools").glob("*.yaml"))
MINE = """\
pools:
  cpu:
    selector: {kind: any}
    tolerations: []
    cpus: 6
  gpu-inference:
    accelerators: 0
  gpu-training:
    tolerations:
      - {key: spot, operator: Exists}
    cpus: 32
    requested_cpus: 30500m
    accelerator: amd.com/gpu
    accelerators: 4
    shared_memory: 40Gi
    scratch: 300Gi
steps:
  train-model: {timeout: 3d, retries: 9}
  embed-images: {timeout: 90m}
image_pull_policy: Always
parallel_groups: 7
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "pools.yaml"
    path.write_text(MINE)
    return path


def compiled(folder, *options):
    assert main(["compile", "--out", str(folder), *options]) == 0
    text = (folder / "full.yaml").read_text()
    spec, platform = yaml.load_all(text, yaml.CSafeLoader)
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.fixture(scope="module")
def from_mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    (folder / "pools.yaml").write_text(MINE)
    return compiled(folder / "out", "--pools", str(folder / "pools.yaml"))


def test_what_kfp_takes_as_parameters_is_an_argument(mine):
    given = load_pools(mine).arguments(PIPELINES["train"].component_spec.inputs)
    assert given["cpu_pool_selector"] == {"kind": "any"}
    assert given["cpu_pool_tolerations"] == []
    assert (given["cpu_pool_cpus"], given["cpu_pool_requested_cpus"]) == ("6", "6")
    assert given["cpu_pool_memory"] == CPU.memory  # left out, so as it is
    assert given["inference_pool_accelerators"] == "0"
    assert given["training_pool_tolerations"] == [{"key": "spot", "operator": "Exists"}]
    assert given["training_pool_requested_cpus"] == "30500m"
    assert given["training_pool_accelerator"] == "amd.com/gpu"
    without = load_pools(mine).arguments(PIPELINES["recut"].component_spec.inputs)
    assert without
    assert not [name for name in without if name.startswith("training_pool")]


def test_what_kfp_takes_as_constants_is_compiled_in(from_mine):
    spec, executors = from_mine
    deadlines = {name: int(one["activeDeadlineSeconds"]) for name, one in executors.items()}
    assert deadlines["exec-train-model"] == 3 * 24 * 3600
    assert deadlines["exec-embed-images"] == 90 * 60
    assert deadlines["exec-detect-text"] == STEPS["detect-text"].timeout_s
    mounts = {m["mountPath"]: m for m in executors["exec-train-model"]["emptyDirMounts"]}
    assert mounts["/dev/shm"]["sizeLimit"] == "40Gi"
    assert mounts["/tmp"]["sizeLimit"] == "300Gi"
    assert {one["imagePullPolicy"] for one in executors.values()} == {"Always"}
    assert re.findall(r"'?parallelismLimit'?: (\d+)", str(spec)) == ["7", "7"]
    assert set(re.findall(r"'maxRetryCount': (\d+)", str(spec))) == {"9"}


def test_a_file_for_uploading_by_hand_has_the_arguments_as_defaults(from_mine, mine):
    parameters = from_mine[0]["root"]["inputDefinitions"]["parameters"]
    given = load_pools(mine).arguments(PIPELINES["full"].component_spec.inputs)
    assert len(given) > 10
    for name, value in given.items():
        assert parameters[name]["defaultValue"] == value
    assert parameters["workers"]["defaultValue"] == 1.0


def test_a_pools_file_changes_nothing_for_those_who_give_none(mine, tmp_path):
    before = PIPELINES["recut"].pipeline_spec.SerializeToString(deterministic=True)
    build("recut", load_pools(mine))
    again = build("recut").pipeline_spec.SerializeToString(deterministic=True)
    assert again == before


def test_an_empty_file_says_what_is_so_anyway(tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    settings = load_pools(tmp_path / "empty.yaml").settings
    assert (dict(settings.pools), dict(settings.steps)) == (dict(POOLS), dict(STEPS))
    assert settings.parallel_groups == Settings().parallel_groups


def test_a_step_that_launches_a_training_goes_where_the_file_puts_the_cpu_pool(mine):
    inputs = PIPELINES["train"].component_spec.inputs
    launching = {
        "training_pool_selector": {"openmofi/pool": "cpu"},
        "training_pool_tolerations": [{"key": "x"}],
        "training_pool_cpus": "1",
        "training_pool_accelerators": "0",
    }
    applied = load_pools(mine).applied({"run_name": "r", **launching}, inputs)
    assert applied["training_pool_selector"] == {"kind": "any"}
    assert applied["training_pool_tolerations"] == []
    assert (applied["training_pool_cpus"], applied["training_pool_accelerators"]) == ("1", "0")
    plain = load_pools(mine).applied({"run_name": "r"}, inputs)
    assert plain["training_pool_cpus"] == "32"
    assert plain["training_pool_selector"] == {"openmofi/pool": GPU_TRAINING.name}


def test_a_submitted_run_is_given_both(mine, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{root: s3://b/data, source: s3://b/crawl, labeler: x, wordnet: s3://b/wordnet}"
    )
    options = {"name": "curate", "config": path, "settings": [], "unchecked": True}
    content = read_content(argparse.Namespace(**options, pools=mine), "r")
    assert content.parameters["source"] == "s3://b/crawl"
    assert content.parameters["cpu_pool_selector"] == {"kind": "any"}
    assert "training_pool_cpus" not in content.parameters
    assert "imagePullPolicy: Always" in content.package.text
    without = read_content(argparse.Namespace(**options, pools=None), "r")
    assert without.parameters.keys() == {"root", "source", "labeler", "wordnet"}
    assert without.package.version != content.package.version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pools:\n  cpu: {}\n  gpu: {}\n", r":3: 'pools.gpu.*Input should be 'cpu', 'gpu-inf"),
        ("pools:\n  cpu:\n    memry: 1Gi\n", r":3: unknown key 'pools.cpu.memry'; known here: acc"),
        ("steps:\n  trian-model: {}\n", r":2: 'steps.trian-model.*the steps are assemble-data"),
        ("step: {}\n", r":1: unknown key 'step'; known here: image_pull_policy, parallel_g"),
        ("pools:\n  cpu:\n    memory: 16 GB\n", r":3: 'pools.cpu.memory'"),
        ("pools:\n  cpu:\n    cpus: four\n", r":3: 'pools.cpu.cpus'"),
        ("pools: {cpu: {cpus: 2, requested_cpus: 3}}\n", r":1: 'pools.cpu'.*3 is more than 2"),
        ("pools: {cpu: {requested_cpus: 9}}\n", r"'pools.cpu.requested_cpus' 9 is more than .* 4"),
        ("pools: {cpu: {accelerators: 1}}\n", r"'pools.cpu' takes no accelerators"),
        ("steps:\n  train-model:\n    timeout: 5\n", r":3: 'steps.train-model.timeout'"),
        (
            "pools:\n  cpu:\n    tolerations:\n      - {key: a}\n      - {effect: Never}\n",
            r":5: 'pools.cpu.tolerations.1.effect'",
        ),
        (
            "pools:\n  cpu:\n    tolerations:\n      - {operator: Exists, value: x}\n",
            r":4: .*'value' has no place beside operator Exists",
        ),
        ("pools: {cpu: {tolerations: [{value: x}]}}\n", r":1: .*'key' is missing"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_files_line_and_field(tmp_path, capsys, text, message):
    path = tmp_path / "pools.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        load_pools(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
    assert main(["compile", "--out", str(tmp_path / "out"), "--pools", str(path)]) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_can_be_built_with(path):
    assert len(SAMPLES) == 3
    pools = load_pools(path)
    built = build("recut", pools)
    assert pools.arguments(built.component_spec.inputs).keys() <= built.component_spec.inputs.keys()
    if path.stem == "cpu-only":
        given = pools.arguments(PIPELINES["full"].component_spec.inputs)
        assert {v for name, v in given.items() if name.endswith("accelerators")} == {"0"}
        assert {str(v) for name, v in given.items() if name.endswith("selector")} == {"{}"}
