"""Scope: what MLflow shows of an evaluation: runs, intervals, models, data, the parent's row."""

import pytest

from openmofi import tracking
from openmofi.evaluation.comparison.runs import page_of
from openmofi.evaluation.comparison.table import comparison_text
from openmofi.evaluation.run import evaluate_model
from openmofi.versions import read_manifest
from support.evaluation import publish_micro_model, write_image_set
from support.mlflow_databases import new_database

ORIGIN = {
    "kind": "trained",
    "name": "mofi",
    "dataset": "d" * 32,
    "dataset_uri": "file:///root/manifests/dataset/d.json",
    "samples": 7,
    "classes": 3,
    "config": {"objectives": [{"kind": "clip", "weight": 1.0}], "learning_rate": 0.1},
}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """Client, experiment, runs by name, and the manifest of an evaluation of two models."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        data, root = str(write_image_set(folder / "set")), str(folder / "store")
        candidate = publish_micro_model(root, seed=1, origin=ORIGIN)
        baseline = publish_micro_model(root, seed=2)
        request = {"data": data, "baseline": baseline, "pipeline_run": "demo"}
        uri = evaluate_model(candidate, **request)
        assert evaluate_model(candidate, **request) == uri  # a retry adds no run and no model
        from openmofi.tracking import mlflow_client

        client = mlflow_client()
        [experiment] = client.search_experiments(filter_string="name = 'openmofi'")
        runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
        yield client, experiment.experiment_id, runs, read_manifest(uri, "evaluation")


def of_role(tracked, role):
    _, _, runs, manifest = tracked
    return runs[f"evaluate {manifest.content['models'][role]} on set"]


def test_there_is_one_child_a_model_under_the_pipeline_run(tracked):
    client, _, runs, manifest = tracked
    models = manifest.content["models"].values()
    assert set(runs) == {"demo", *(f"evaluate {name} on set" for name in models)}
    run = of_role(tracked, "candidate")
    assert run.data.tags["mlflow.parentRunId"] == runs["demo"].info.run_id
    files = {f.path for f in client.list_artifacts(run.info.run_id, "evaluation")}
    assert files == {"evaluation/report.html", "evaluation/report.json"}


def test_metrics_come_with_their_intervals(tracked):
    content = tracked[3].content
    found = of_role(tracked, "candidate").data.metrics
    assert {k: found[k] for k in content["metrics"]["candidate"]} == content["metrics"]["candidate"]
    interval = content["intervals"]["candidate"]["retrieval/map"]
    assert found["retrieval/map_low"] == interval["low"]
    assert found["retrieval/map_high"] == interval["high"]


def test_no_param_is_a_path(tracked):
    for run in tracked[2].values():
        assert [v for v in run.data.params.values() if "/" in v] == []
    run = of_role(tracked, "candidate")
    assert not {"config.device", "config.train_data"} & set(run.data.params)
    assert run.data.tags["openmofi.data"].endswith("/set")


def test_a_search_finds_models_by_what_they_scored_on_which_data(tracked):
    client, experiment, _, manifest = tracked
    content = manifest.content
    data = [{"dataset_name": "set", "dataset_digest": content["data_digest"]}]
    found = client.search_logged_models(
        [experiment], filter_string="metrics.`retrieval/map` > 0", datasets=data
    )
    by_weights = {m.tags["openmofi.weights"]: m for m in found}
    assert set(by_weights) == {content["candidate"], content["baseline"]}
    model = by_weights[content["candidate"]]
    assert model.name == "mofi"
    assert model.params["objectives.clip.weight"] == "1.0"
    assert model.tags["openmofi.manifest"] == content["candidate_uri"]
    run = client.get_run(of_role(tracked, "candidate").info.run_id)
    inputs = run.inputs.model_inputs  # a search leaves them out
    assert [m.model_id for m in inputs] == [model.model_id]


def test_the_parent_is_a_row_with_recipe_data_and_headline_numbers(tracked):
    client, experiment, runs, manifest = tracked
    parent, metrics = runs["demo"], manifest.content["metrics"]["candidate"]
    assert parent.data.params["learning_rate"] == "0.1"
    assert parent.data.params["objectives"] == "clip"
    assert parent.data.metrics["zero_shot/top1"] == metrics["zero_shot/top1"]
    assert parent.data.metrics["zero_shot/top1_low"] <= metrics["zero_shot/top1"]
    inputs = {i.dataset.name: i.dataset.digest for i in parent.inputs.dataset_inputs}
    assert inputs == {"set": manifest.content["data_digest"], "training shards": "d" * 32}
    query = "dataset.name = 'training shards' and tags.`openmofi.pipeline_run` = 'demo'"
    assert [r.info.run_id for r in client.search_runs([experiment], query)] == [parent.info.run_id]
    child = of_role(tracked, "candidate").info.run_id
    note = parent.data.tags["mlflow.note.content"]
    assert f"/runs/{child}/artifacts/evaluation/report.html" in note


def test_a_comparison_of_runs_names_their_page(monkeypatch):
    monkeypatch.setattr(tracking, "compare_url", lambda runs: f"page of {','.join(runs)}")
    one, other = "a" * 32, "b" * 32
    assert page_of([one, "file:///r/manifests/model/m.json", other]) == f"page of {one},{other}"
    assert page_of([one, "file:///r/manifests/model/m.json"]) == ""
    nothing = {"differ": [], "equal": 0, "unknown": []}
    facts = {"sides": [], "metrics": [], "data": nothing, "recipe": nothing, "code": nothing}
    printed = comparison_text({**facts, "notes": [], "mlflow": "http://here"})
    assert printed.endswith("in MLflow's UI: http://here")
