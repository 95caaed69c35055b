import json
from pathlib import Path

import pytest

from openmofi.errors import InputError
from openmofi.evaluation.run import evaluate_model
from openmofi.versions import read_manifest
from support.evaluation import publish_micro_model, write_image_set
from support.mlflow_databases import new_database


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two real, untrained models compared on twelve images, recorded in MLflow."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        data = str(write_image_set(folder / "set"))
        root = str(folder / "store")
        candidate, baseline = (publish_micro_model(root, seed=seed) for seed in (1, 2))
        request = {"data": data, "baseline": baseline, "pipeline_run": "demo"}
        yield folder, candidate, request, evaluate_model(candidate, **request)


def test_the_manifest_holds_metrics_by_role_and_the_paired_difference(finished):
    _, candidate, request, uri = finished
    content = read_manifest(uri, "evaluation").content
    assert content["candidate"] == read_manifest(candidate, "model").digest
    assert content["baseline"] == read_manifest(request["baseline"], "model").digest
    assert set(content["metrics"]) == {"candidate", "baseline", "colour_histogram"}
    assert set(content["metrics"]["colour_histogram"]) < set(content["metrics"]["candidate"])
    one, other = (content["metrics"][role]["zero_shot/top1"] for role in ("candidate", "baseline"))
    paired = content["paired"]["zero_shot/top1"]
    assert paired["value"] == pytest.approx(one - other)
    assert paired["noise"] == (paired["low"] <= 0 <= paired["high"])


def test_the_report_needs_nothing_beside_it_and_the_json_says_the_same(finished):
    _, _, _, uri = finished
    manifest = read_manifest(uri, "evaluation")
    page = manifest.store.get(manifest.content["report"]).decode()
    for text in ("Red Land", "colour histogram", "Attacked pictures", "Nearest images", "noise"):
        assert text in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<img") == page.count('src="data:image/jpeg;base64,')
    beside = json.loads(manifest.store.get(manifest.content["report_json"]))
    assert beside["metrics"] == manifest.content["metrics"]


def test_the_same_request_finds_the_finished_evaluation(finished, capsys):
    _, candidate, request, uri = finished
    assert evaluate_model(candidate, **{**request, "pipeline_run": ""}) == uri
    assert "reused" in capsys.readouterr().err


def test_another_batch_size_is_the_same_evaluation_and_other_prompts_are_not(finished, monkeypatch):
    _, candidate, request, uri = finished
    request = {**request, "pipeline_run": ""}
    assert evaluate_model(candidate, **request, config={"batch_size": 3.0}) == uri
    assert evaluate_model(candidate, **request, config={"templates": ["a {}"]}) != uri


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data": "/no/such/folder"}, "evaluation set not found"),
        ({"config": {"suite": []}}, "evaluation config: unknown key 'suite'"),
        ({"config": {"suites": ["probe"]}}, "'suites.0'"),
    ],
)
def test_unusable_requests_are_told_before_any_work(finished, change, says):
    folder, candidate, request, _ = finished
    before = sorted(Path(folder).rglob("*"))
    with pytest.raises(InputError, match=says):
        evaluate_model(candidate, **{**request, **change})
    assert sorted(Path(folder).rglob("*")) == before
