"""Scope: what MLflow shows of a training: its name, a recipe without paths, its model."""

import json
import time

import pytest

from openmofi.tracking import TrackedRun
from openmofi.training.run import train_model
from openmofi.training.tracked import Points, recipe_name
from openmofi.versions import read_manifest
from support.mlflow_databases import new_database
from support.training import make_samples, write_backbone, write_training_shards


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Client, run, and manifest of a model of three steps."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.delenv("WORLD_SIZE", raising=False)
        shards = write_training_shards(folder / "root", make_samples(40, seed=1))
        config = {"backbone": write_backbone(folder), "objectives": "clip", "max_steps": 3,
                  "batch_size": 8, "log_every": 1}  # fmt: skip
        model = read_manifest(train_model(shards, config=config, name="m"), "model")
        from openmofi.tracking import mlflow_client

        client = mlflow_client()
        yield client, client.get_run(model.content["origin"]["mlflow_run_id"]), model


def test_its_name_tells_recipe_and_data(trained):
    _, run, model = trained
    assert run.info.run_name == f"train m: clip on {model.content['origin']['dataset'][:8]}"
    assert recipe_name(["supervised", "contrastive"]) == "multitask"
    assert recipe_name(["contrastive", "clip"]) == "contrastive+clip"


def test_params_are_the_recipe_and_how_it_ran_is_a_tag(trained):
    _, run, _ = trained
    params = run.data.params
    assert (params["objectives"], params["max_steps"], params["samples"]) == ("clip", "3", "40")
    assert not {"workers", "log_every", "image_cache_mb", "initial_model"} & set(params)
    assert json.loads(run.data.tags["openmofi.execution"])["log_every"] == 1


def test_curves_are_by_step_and_the_data_is_an_input(trained):
    client, run, _ = trained
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2, 3]
    [data] = run.inputs.dataset_inputs
    assert json.loads(data.dataset.profile) == {"num_rows": 40, "classes": 8}
    assert [(t.key, t.value) for t in data.tags] == [("mlflow.data.context", "training")]


def test_the_model_is_its_output_and_weights_stay_where_they_are(trained):
    client, run, model = trained
    [output] = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.source_run_id) == ("m", run.info.run_id)
    assert logged.tags["openmofi.manifest"] == model.uri
    assert [f.path for f in client.list_logged_model_artifacts(logged.model_id)] == ["MLmodel"]


def test_a_point_is_there_once_though_its_answer_was_lost_and_it_is_written_again(trained):
    client, run, _ = trained
    points = Points(TrackedRun(client, run.info.run_id), there={1})
    for step in (1, 2, 2, 3):
        points.log({"lost": step / 2}, step)
        time.sleep(0.005)  # else the second try could have the same time by chance
    found = client.get_metric_history(run.info.run_id, "lost")
    assert [(one.step, one.value) for one in found] == [(2, 1.0), (3, 1.5)]
