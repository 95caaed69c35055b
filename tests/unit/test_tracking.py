from pathlib import Path

import pytest

from openmofi.errors import StorageError
from openmofi.tracking import flatten_params, tracked_run
from support.mlflow_databases import new_database


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(tmp_path))
    return tmp_path


def test_params_are_flattened_and_cut_at_mlflows_limits():
    flat = flatten_params({"a": {"b": 1, "c[0]": [1, 2]}, "long": "x" * 7000, "k" * 300: 1})
    assert flat["a.b"] == "1"
    assert flat["a.c_0_"] == "[1, 2]"
    assert len(flat["long"]) == 6000
    assert max(map(len, flat)) == 250


def test_members_of_a_list_are_called_by_their_kind_so_that_recipes_line_up():
    both = {"objectives": [{"kind": "supervised", "margin": 0.1}, {"kind": "clip", "weight": 1}]}
    assert flatten_params(both) == {
        "objectives": "supervised, clip",
        "objectives.supervised.margin": "0.1",
        "objectives.clip.weight": "1",
    }
    assert flatten_params({"objectives": [{"kind": "clip"}]}) == {"objectives": "clip"}


@pytest.mark.parametrize("key", ["kind", "name"])
def test_members_of_one_kind_or_of_none_are_numbered(key):
    assert flatten_params({"rules": [{key: "a"}, {key: "a"}]}) == {
        f"rules.0.{key}": "a",
        f"rules.1.{key}": "a",
    }


def test_secrets_are_left_out_and_tokenizers_are_not():
    flat = flatten_params(
        {
            "tokenizer": "simple",
            "max_tokens": 24,
            "s3": {"secret_key": "hidden", "AWS_SECRET_ACCESS_KEY": "hidden"},
            "api_key": "hidden",
            "token": "hidden",
            "root": "https://user:hidden@host/bucket",
        }
    )
    assert set(flat) == {"tokenizer", "max_tokens", "root"}
    assert flat["root"] == "https://host/bucket"


def test_a_retried_task_goes_on_with_its_run_and_keeps_the_first_params(server: Path):
    from mlflow import MlflowClient

    ids = []
    for rate in (0.1, 0.2):
        with tracked_run(
            "train", pipeline_run="it's one", tags={"model": "m"}, params={"rate": rate}
        ) as run:
            run.log_metrics({"train/loss": rate}, step=1)
            ids.append(run.run_id)
    assert ids[0] == ids[1]
    found = MlflowClient().get_run(ids[0])
    assert found.data.params == {"rate": "0.1"}
    assert found.data.tags["retried.rate"] == "0.2"
    assert found.data.metrics == {"train/loss": 0.2}
    assert found.info.status == "FINISHED"


def test_tasks_of_one_pipeline_run_share_a_parent(server: Path):
    from mlflow import MlflowClient

    parents = set()
    ids = set()
    for name, tag in (("train", "a"), ("train", "b"), ("evaluate", "b")):
        with tracked_run(name, pipeline_run="p", tags={"model": tag}, params={}) as run:
            ids.add(run.run_id)
        parents.add(MlflowClient().get_run(run.run_id).data.tags["mlflow.parentRunId"])
    assert len(ids) == 3
    assert len(parents) == 1
    assert MlflowClient().get_run(parents.pop()).data.tags["openmofi.pipeline_run"] == "p"


def test_a_failing_step_leaves_a_failed_run_with_its_reason(server: Path):
    from mlflow import MlflowClient

    with pytest.raises(ValueError, match="no luck"):  # noqa: SIM117
        with tracked_run("train", pipeline_run="", tags={}, params={}) as run:
            raise ValueError("no luck")
    found = MlflowClient().get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert found.data.tags["openmofi.error"] == "ValueError: no luck"


def test_files_and_the_data_version_are_recorded_beside_the_database(server: Path):
    from mlflow import MlflowClient

    report = server / "report.html"
    report.write_text("<p>")
    with tracked_run("evaluate", pipeline_run="", tags={}, params={}) as run:
        run.log_file(report, "evaluation")
        run.log_dataset("i2e", digest="d" * 32, uri="s3://bucket/manifests/dataset/d.json")
    found = MlflowClient().get_run(run.run_id)
    assert (server / "mlruns" / run.run_id / "artifacts/evaluation/report.html").is_file()
    assert found.inputs.dataset_inputs[0].dataset.digest == "d" * 32


def test_an_unusable_server_is_told_in_one_line(server: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hidden@127.0.0.1:9/")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(StorageError, match=r"MLflow at http://127\.0\.0\.1:9/") as caught,
        tracked_run("train", pipeline_run="", tags={}, params={}),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)
