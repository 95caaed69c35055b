"""What is compiled: each step with its image, limits, pool and timeout; nothing left open."""

import inspect
import os
import re
import subprocess
import sys
from copy import deepcopy

import pytest
import yaml
from kfp import components, dsl

from components import images
from pipelines.compile import PIPELINES, compile_all
from pipelines.local import task_titles, without_retries
from pipelines.placement import SETTINGS, STEPS, STORAGE_SECRET, Settings

STEPS_OF = {
    "curate": {
        "plan-shards", "build-knowledge-base", "import-model", "ingest-pairs", "link-entities",
        "embed-images", "embed-entities", "label-images", "detect-text", "assemble-dataset",
        "build-shards",
    },
    "train": {"train-model", "evaluate-model", "register-model"},
}  # fmt: skip
STEPS_OF["full"] = STEPS_OF["curate"] | STEPS_OF["train"]
STEPS_OF["refresh"] = STEPS_OF["full"] | {"check-data", "publish-dataset"}
STEPS_OF["recut"] = {"score-masked-images", "assemble-dataset", "build-shards"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Path, spec and Kubernetes settings of each pipeline."""
    paths = compile_all(tmp_path_factory.mktemp("pipelines"))
    assert [path.stem for path in paths] == list(PIPELINES)
    found = {}
    for path in paths:
        spec, platform = yaml.load_all(path.read_text(), yaml.CSafeLoader)
        kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        found[path.stem] = (path, spec, kubernetes)
    return found


@pytest.fixture(params=PIPELINES)
def one(compiled, request):
    return (request.param, *compiled[request.param])


def step_of(executor: str) -> str:
    """``exec-train-model-2`` runs the step ``train-model``."""
    return re.sub(r"-\d+$", "", executor.removeprefix("exec-"))


def tasks_of(spec):
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    for dag in dags:
        for task in dag["tasks"].values():
            yield task["componentRef"]["name"].removeprefix("comp-"), task


def test_it_loads_back(one):
    name, path, _, _ = one
    loaded = components.load_component_from_file(str(path))
    assert set(loaded.component_spec.inputs) == set(PIPELINES[name].component_spec.inputs)


def test_every_graph_is_handed_what_its_tasks_read(one):
    # A loop or a branch around a task that lacks a parameter fails at run time, on a cluster too.
    graphs = [one[2]["root"], *(c for c in one[2]["components"].values() if "dag" in c)]
    assert len(graphs) > 1 or one[0] == "train"
    for graph in graphs:
        handed = graph["inputDefinitions"]["parameters"].keys()
        for task in graph["dag"]["tasks"].values():
            for source in task.get("inputs", {}).get("parameters", {}).values():
                read = source.get("componentInputParameter")
                assert read is None or read in handed


def test_it_has_the_steps_of_its_name(one):
    name, _, spec, _ = one
    assert {step_of(e) for e in spec["deploymentSpec"]["executors"]} == STEPS_OF[name]


def test_no_value_is_left_as_the_compilers_own_mark(one):
    assert "{{channel:" not in one[1].read_text()


def test_nothing_is_installed_at_run_time(one):
    assert "pip install" not in one[1].read_text()


def test_every_step_names_our_image(one):
    for executor in one[2]["deploymentSpec"]["executors"].values():
        assert executor["container"]["image"] in (images.CURATION, images.TRAINING)


def test_every_step_has_limits_and_requests_and_all_its_memory_is_kept_free(one):
    for executor in one[2]["deploymentSpec"]["executors"].values():
        resources = executor["container"]["resources"]
        assert resources["resourceCpuLimit"]
        assert resources["resourceCpuRequest"] != resources["resourceCpuLimit"]
        assert resources["resourceMemoryRequest"] == resources["resourceMemoryLimit"]


def test_every_step_can_write_to_tmp_alone_and_is_not_root(one):
    for executor, settings in one[3].items():
        pool = STEPS[step_of(executor)].pool
        mounts = {mount["mountPath"]: mount for mount in settings["emptyDirMounts"]}
        assert mounts["/tmp"]["sizeLimit"] == pool.scratch
        assert mounts.keys() - {"/tmp"} == ({"/dev/shm"} if pool.shared_memory else set())
        assert settings["securityContext"] == {"runAsNonRoot": True}
        assert settings["imagePullPolicy"] == "IfNotPresent"


def test_no_fan_out_starts_all_its_pods_at_once(one):
    loops = [task for _, task in tasks_of(one[2]) if "parameterIterator" in task]
    assert len(loops) == {"train": 0, "full": 2}.get(one[0], 1)
    for loop in loops:
        assert loop["iteratorPolicy"]["parallelismLimit"] == Settings().parallel_groups


def test_a_file_is_small_enough_for_etcd_with_all_that_a_run_adds(one):
    kib = one[1].stat().st_size / 1024
    print(f"{one[0]}: {kib:.0f} KiB")  # etcd holds 1.5 MB an object
    assert kib < 300


def test_every_step_has_a_pool_and_a_timeout(one):
    _, _, spec, kubernetes = one
    assert kubernetes.keys() == spec["deploymentSpec"]["executors"].keys()
    for executor, settings in kubernetes.items():
        need = STEPS[step_of(executor)]
        selector = settings["nodeSelector"]["nodeSelectorJson"]["componentInputParameter"]
        [toleration] = settings["tolerations"]
        assert selector.removeprefix("pipelinechannel--") == f"{need.pool.prefix}_selector"
        assert toleration["tolerationJson"]["componentInputParameter"].endswith(
            f"{need.pool.prefix}_tolerations"
        )
        assert int(settings["activeDeadlineSeconds"]) == need.timeout_s


def test_accelerators_and_shared_memory_go_to_the_gpu_pools_only(one):
    _, _, spec, kubernetes = one
    for name, executor in spec["deploymentSpec"]["executors"].items():
        wanted = bool(STEPS[step_of(name)].pool.accelerators)
        assert ("accelerator" in executor["container"]["resources"]) is wanted
        mounted = {mount["mountPath"] for mount in kubernetes[name]["emptyDirMounts"]}
        assert ("/dev/shm" in mounted) is wanted


def test_all_that_a_pod_is_made_of_is_text(one):
    """KFP's driver reads it so, and a number as nothing: a step without its GPU (2.17.0)."""
    parameters = one[2]["root"]["inputDefinitions"]["parameters"]
    executors = one[2]["deploymentSpec"]["executors"].values()
    resources = str([executor["container"]["resources"] for executor in executors])
    named = set(re.findall(r"pipelinechannel--(\w+)", resources))
    assert "inference_pool_accelerators" in named
    assert {parameters[name]["parameterType"] for name in named} == {"STRING"}


def test_credentials_come_by_reference_only(one):
    for settings in one[3].values():
        assert [s["secretName"] for s in settings["secretAsEnv"]] == [STORAGE_SECRET]
        assert [s["configMapName"] for s in settings["configMapAsEnv"]] == [SETTINGS]
    keys = set(re.findall(r"secretKey: (\S+)", one[1].read_text()))
    assert keys == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_labelling_waits_for_the_entities_and_embedding_does_not(one):
    models = {
        step_of(name): task["inputs"]["parameters"]["model"]["componentInputParameter"]
        for name, task in tasks_of(one[2])
        if step_of(name) in ("label-images", "embed-images")
    }
    without = one[0] in ("train", "recut")
    assert models.keys() == (set() if without else {"label-images", "embed-images"})
    behind = {step for step, model in models.items() if "embed-entities" in model}
    assert behind == models.keys() - {"embed-images"}


def test_no_step_uses_kfps_own_cache(one):
    steps = [task for name, task in tasks_of(one[2]) if step_of(name) in STEPS]
    assert steps
    assert not any(task["cachingOptions"].get("enableCache") for task in steps)


def test_every_parameter_is_explained(one):
    for parameter in one[2]["root"]["inputDefinitions"]["parameters"].values():
        assert parameter["description"]


def test_a_pools_settings_can_be_given_at_submit_time(one):
    name, _, spec, _ = one
    pools = {STEPS[step].pool for step in STEPS_OF[name]}
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    for pool in pools:
        for parameter, (_, default, _) in pool.parameters().items():
            assert parameters[parameter]["defaultValue"] == default


def test_full_trains_three_models_and_gives_each_task_its_own_name():
    titles = task_titles(PIPELINES["full"].pipeline_spec)
    named = sorted(t for c, t in titles.items() if step_of(c) == "train-model")
    assert named == ["train-baseline", "train-labeler", "train-model"]
    shown = [t for c, t in titles.items() if step_of(c) in STEPS]
    assert len(shown) == len(set(shown))


def test_a_pipeline_function_keeps_its_own_parameters_first():
    parameters = list(inspect.signature(PIPELINES["train"].pipeline_func).parameters)
    assert parameters[:2] == ["training_shards", "model_name"]
    assert "place" not in parameters


def test_a_recut_masks_each_group_and_hands_the_scores_of_all_to_assembly(compiled):
    spec = compiled["recut"][1]
    root = spec["root"]["dag"]["tasks"]
    [loop] = [task for task in root.values() if "parameterIterator" in task]
    read = loop["parameterIterator"]["items"]["inputParameter"]
    assert loop["inputs"]["parameters"][read] == {"componentInputParameter": "samples"}
    scores = root["assemble-dataset"]["inputs"]["parameters"]["masked_scores"]
    assert scores["taskOutputParameter"]["producerTask"] == loop["taskInfo"]["name"]
    [masking] = spec["components"][loop["componentRef"]["name"]]["dag"]["tasks"].values()
    tables = {"samples", "image_embeddings", "text_regions"}
    given = {name: masking["inputs"]["parameters"][name] for name in tables}
    names = {name: one["componentInputParameter"] for name, one in given.items()}
    assert names["samples"].endswith("-loop-item")  # one group; of the rest it is given all
    assert names["text_regions"] == "pipelinechannel--text_regions"


def test_a_refresh_publishes_behind_the_gate_and_trains_on_what_it_has_published(compiled):
    spec = compiled["refresh"][1]
    root = spec["root"]["dag"]["tasks"]
    [branch] = [task for task in root.values() if "triggerPolicy" in task]
    assert "check-data-Output'] == true" in branch["triggerPolicy"]["condition"]
    inside = spec["components"][branch["componentRef"]["name"]]["dag"]["tasks"]
    source = inside["publish-dataset"]["inputs"]["parameters"]["dataset"]
    assert "assemble-dataset-Output" in source["componentInputParameter"]
    trained_on = inside["build-shards"]["inputs"]["parameters"]["dataset"]
    assert trained_on["taskOutputParameter"]["producerTask"] == "publish-dataset"
    for step in ("assemble-dataset", "check-data"):  # each finds it when it runs
        given = root[step]["inputs"]["parameters"]["parent"]
        assert given == {"componentInputParameter": "parent"}


def test_images_come_from_the_environment(tmp_path):
    environment = {
        **os.environ,
        "OPENMOFI_TRAINING_IMAGE": "registry.example/train-python@sha256:0",
    }
    command = [sys.executable, "-m", "pipelines", "compile", "--out", str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert "image: registry.example/train-python@sha256:0" in (tmp_path / "train.yaml").read_text()


def test_training_alone_is_started_again_where_its_node_vanished(one):
    _, _, spec, _ = one
    retried = {}
    for name, task in tasks_of(spec):
        if "retryPolicy" in task:
            retried[re.sub(r"-\d+$", "", name)] = task["retryPolicy"]["maxRetryCount"]
    trains = any(name.startswith("train-model") for name, _ in tasks_of(spec))
    assert retried == ({"train-model": 5} if trains else {})


def test_here_nobody_waits_for_a_node():
    spec = PIPELINES["train"].pipeline_spec
    before = deepcopy(spec)
    assert any(task.HasField("retry_policy") for task in spec.root.dag.tasks.values())
    with without_retries(spec):
        assert not any(task.HasField("retry_policy") for task in spec.root.dag.tasks.values())
    assert spec == before


def test_no_limit_reads_the_source_of_its_callers(monkeypatch):
    """kfp does so for the words of an error, and would take seconds of every command."""
    monkeypatch.setattr(inspect, "stack", lambda *_: pytest.fail("sources are read"))
    again = dsl.pipeline(name="again")(PIPELINES["recut"].pipeline_func)
    assert again.pipeline_spec.root.dag.tasks
