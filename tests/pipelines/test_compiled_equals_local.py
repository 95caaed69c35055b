"""The file that a cluster is given and the graph that runs here: step by step the same.

No step does its work; each is recorded with its image and what it is handed. What it answers is
made of that, so that a difference anywhere changes all that follows.
"""

import json
import re
from pathlib import Path

import pytest
import yaml
from kfp import components

from pipelines.compile import PIPELINES, compile_all
from pipelines.local import run_locally, task_titles
from pipelines.placement import STEPS
from support.recording_runner import RecordingRunner

GROUPS = 3
SAMPLES = {"root": "s3://b/data", "source": "s3://b/crawl", "labeler": "ViT-B-32", "workers": 2}
MODEL = {"evaluation_data": "s3://b/held-out", "model_name": "m", "run_name": "r"}
SECTIONS = {"ingest": {"min_side": 7}, "embed": {"batch_size": 3}, "assemble": {"min_score": 0.25}}
TABLES = {
    name: [f"s3://b/{name}/{number}" for number in range(GROUPS)]
    for name in ("samples", "image_embeddings", "text_regions")
}
VALUES = {
    "curate": {**SAMPLES, **SECTIONS},
    "train": {"training_shards": "s3://b/shards", "training": {"max_steps": 5}, **MODEL},
    "full": {
        **SAMPLES,
        **SECTIONS,
        **MODEL,
        "train_the_labeler": True,
        "labeler_crawl": "s3://b/other",
        "training": {"max_steps": 9},
        "baseline_training": {"max_steps": 8},
    },
    "refresh": {**SAMPLES, **SECTIONS, **MODEL, "gate": {"min_kept_fraction": 0.5}},
    "recut": {**TABLES, "model": "s3://b/model", "mask": {"batch_size": 4}},
}
LIMITS = ("cpu_", "memory_", "accelerator_")
# Of `full`, the branch that is not taken.
NOT_RUN = {"full": {"import-model"}}
LOOPED = {
    "ingest-pairs", "link-entities", "embed-images", "detect-text", "label-images",
    "score-masked-images",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Path and content of each."""
    found = {}
    for path in compile_all(tmp_path_factory.mktemp("compiled")):
        spec, _ = yaml.load_all(path.read_text(), yaml.CSafeLoader)
        found[path.stem] = (components.load_component_from_file(str(path)), spec)
    return found


@pytest.fixture(scope="module", params=PIPELINES)
def ran(request, files, tmp_path_factory):
    """Name, file, what ran from the graph and from the file: recordings and ``outputs.json``."""
    name = request.param
    loaded, spec = files[name]
    found = []
    for pipeline in (PIPELINES[name], loaded):
        runner, folder = RecordingRunner(GROUPS), tmp_path_factory.mktemp("run")
        run_locally(pipeline, VALUES[name], folder=folder, groups=GROUPS, runner=runner)
        found.append((runner, json.loads((folder / "outputs.json").read_text())))
    return name, spec, *found


def test_the_same_steps_run_with_the_same_images_and_arguments(ran):
    _, _, (here, _), (from_file, _) = ran
    assert here.calls == from_file.calls


def test_the_same_outputs_come_of_it(ran):
    def plain(outputs):
        return sorted((o["step"], o["group"], o["uri"]) for o in outputs)

    _, _, (_, here), (_, from_file) = ran
    assert here
    assert plain(here) == plain(from_file)


def test_every_task_of_the_file_ran_once_a_group_and_no_other(ran):
    name, spec, _, (recorded, _) = ran
    executed = set(spec["deploymentSpec"]["executors"])
    titles = task_titles(PIPELINES[name].pipeline_spec)
    expected = set()
    for task, title in titles.items():
        step = re.sub(r"-\d+$", "", task)
        if step in STEPS and title not in NOT_RUN.get(name, ()):
            assert f"exec-{task}" in executed
            looped = title in LOOPED or title == "ingest-labeler-pairs"
            expected |= {f"{title}[{n}]" for n in range(GROUPS)} if looped else {title}
    assert set(recorded.calls) == expected


def test_each_step_has_the_files_image_and_the_inputs_that_the_file_declares(ran):
    _, spec, _, (recorded, _) = ran
    images, inputs = {}, {}
    for name, executor in spec["deploymentSpec"]["executors"].items():
        function = executor["container"]["args"][-1]
        images[function] = executor["container"]["image"]
        component = spec["components"]["comp-" + name.removeprefix("exec-")]
        inputs[function] = component["inputDefinitions"]["parameters"]
    for call in recorded.calls.values():
        assert call["image"] == images[call["function"]]
        declared = inputs[call["function"]]
        further = call["inputs"].keys() - declared.keys()  # what its pod is made of
        assert all(key.startswith(("pipelinechannel--", *LIMITS)) for key in further)
        needed = {key for key, value in declared.items() if not value.get("isOptional")}
        assert needed <= call["inputs"].keys()


def test_no_argument_holds_a_mark_of_the_compiler(ran):
    for recorded, _ in ran[2:]:
        values = [list(call["inputs"].values()) for call in recorded.calls.values()]
        assert not re.search(r"\{\{channel|pipelinechannel", json.dumps(values))


def test_what_a_person_sets_arrives_where_it_belongs(ran):
    name, _, _, (recorded, _) = ran
    calls = recorded.calls
    if name in ("curate", "full", "refresh"):
        assert calls["plan-shards"]["inputs"]["config"] == {"min_side": 7}
        assert calls["embed-images[1]"]["inputs"]["config"] == {"batch_size": 3}
        assert calls["assemble-dataset"]["inputs"]["config"] == {"min_score": 0.25}
        assert calls["ingest-pairs[2]"]["inputs"]["group"].endswith("#2")
    if name == "full":
        assert calls["plan-labeler-shards"]["inputs"]["source"] == "s3://b/other"
        assert calls["train-baseline"]["inputs"]["config"] == {"max_steps": 8}
        assert calls["train-model"]["inputs"]["config"] == {"max_steps": 9}
    if name == "recut":
        assert calls["score-masked-images[2]"]["inputs"]["samples"] == TABLES["samples"][2]
    if name == "train":
        assert calls["train-model"]["inputs"]["training_shards"] == "s3://b/shards"


@pytest.mark.parametrize("ran", ["curate", "full", "refresh"], indirect=True)
def test_a_table_of_all_groups_is_handed_on_in_their_order(ran):
    _, _, _, (recorded, outputs) = ran
    made = {o["group"]: o["uri"] for o in outputs if o["step"] == "label-images"}
    handed = recorded.calls["assemble-dataset"]["inputs"]["entity_scores"]
    assert handed == [made[str(number)] for number in range(GROUPS)]
    assert Path(handed[0]).name != Path(handed[1]).name
