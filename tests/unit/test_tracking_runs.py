"""Scope: parents and attached runs: whose status, which run, and what stands in the way."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmofi.errors import InputError, StorageError
from openmofi.tracking import compare_url, mlflow_client, opening, tracked_run
from support.mlflow_databases import new_database

PARENT = "mlflow.parentRunId"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One database: making one takes seconds."""
    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(autouse=True)
def experiment(
    server: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> str:
    """An experiment's name, of this test alone."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    monkeypatch.setattr(opening, "_SETTLING_S", 0.0)
    return str(request.node.name)


def task(name: str, *, fail: bool = False, **given):
    """The run of one task, as it is afterwards."""
    given = {"pipeline_run": "p", "tags": {}, "params": {}, **given}
    try:
        with tracked_run(name, **given) as run:
            if fail:
                raise ValueError("no luck")
    except ValueError:
        pass
    return mlflow_client().get_run(run.run_id)


def status_of_parent(child) -> str:
    return str(mlflow_client().get_run(child.data.tags[PARENT]).info.status)


def test_a_parent_runs_while_a_child_does_and_ends_with_the_last_one():
    client = mlflow_client()
    with tracked_run("train", pipeline_run="p", tags={}, params={}) as one:
        assert one.parent is not None
        with tracked_run("evaluate", pipeline_run="p", tags={}, params={}):
            pass
        assert client.get_run(one.parent_id).info.status == "RUNNING"
    parent, child = client.get_run(one.parent_id), client.get_run(one.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.info.end_time >= child.info.end_time
    with tracked_run("register", pipeline_run="p", tags={}, params={}):
        assert client.get_run(one.parent_id).info.status == "RUNNING"


def test_a_failed_child_fails_the_parent_until_its_retry_ends_well():
    assert status_of_parent(task("train", fail=True)) == "FAILED"
    again = task("train")
    assert again.info.status == "FINISHED"
    assert "openmofi.error" not in again.data.tags
    assert status_of_parent(again) == "FINISHED"


def test_processes_that_make_a_parent_at_once_keep_the_same_one(experiment, monkeypatch):
    monkeypatch.setattr(opening, "_SETTLING_S", 0.5)
    client = mlflow_client()
    number = client.create_experiment(experiment)
    together = threading.Barrier(2)
    find, ids = opening._find, []

    def find_together(*given):
        found = find(*given)
        if not found:
            together.wait(10)  # both have looked, and none is there
        return found

    def make():
        ids.append(opening._parent(client, number, "p"))

    monkeypatch.setattr(opening, "_find", find_together)
    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 2
    assert [r.info.run_id for r in client.search_runs([number])] == [ids[0]] == [ids[1]]


@pytest.mark.parametrize("pipeline_run", ["p", ""])
def test_a_run_is_made_once_though_the_answers_are_lost(experiment, monkeypatch, pipeline_run):
    client = mlflow_client()
    create = type(client).create_run

    def asked_thrice(*args, **kwargs):
        """As MLflow's client does, with the same request, when it hears nothing."""
        return [create(*args, **kwargs) for _ in range(3)][-1]

    monkeypatch.setattr(type(client), "create_run", asked_thrice)
    done = task("train", pipeline_run=pipeline_run)
    number = client.get_experiment_by_name(experiment).experiment_id
    runs = client.search_runs([number])
    assert sorted(run.info.run_name for run in runs) == sorted({"train", pipeline_run} - {""})
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert done.info.run_id in {run.info.run_id for run in runs}


def test_what_is_measured_once_has_one_point_after_a_second_run():
    first = task("evaluate", metrics={"a": 1.0, "b": 2.0})
    task("evaluate", metrics={"a": 1.0, "b": 3.0})
    points = {k: mlflow_client().get_metric_history(first.info.run_id, k) for k in "ab"}
    assert {k: [p.value for p in found] for k, found in points.items()} == {
        "a": [1.0],
        "b": [2.0, 3.0],
    }


def kfp_task(name: str) -> tuple[str, str]:
    """Runs as KFP's plugin makes them: a root for the pipeline, one below it for the task."""
    client = mlflow_client()
    experiment = client.create_experiment(f"{name}, KFP")
    root = client.create_run(experiment, run_name="pipeline").info.run_id
    made = client.create_run(experiment, run_name="train-model", tags={PARENT: root})
    return str(root), str(made.info.run_id)


def test_the_run_that_kfp_made_is_used_on_retries_too_and_its_root_left_running(
    experiment, monkeypatch
):
    root, made = kfp_task(experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    failed = task("train", fail=True)
    assert (failed.info.run_id, failed.info.status) == (made, "FAILED")
    again = task("train")
    assert (again.info.run_id, again.info.status) == (made, "FINISHED")
    assert again.info.run_name == "train-model"
    assert again.data.tags[PARENT] == root
    client = mlflow_client()
    assert client.get_run(root).info.status == "RUNNING"
    assert client.get_experiment_by_name(experiment) is None


def test_a_second_run_of_a_kfp_task_stands_beside_the_first(experiment, monkeypatch):
    root, made = kfp_task(experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    second = task("evaluate baseline", attach=False)
    assert second.info.run_id != made
    assert second.data.tags[PARENT] == root
    assert task("evaluate baseline", attach=False).info.run_id == second.info.run_id


def test_deleted_runs_are_made_anew():
    client, first = mlflow_client(), task("train")
    client.delete_run(first.info.run_id)
    second = task("train")
    assert second.info.run_id != first.info.run_id
    client.delete_run(second.data.tags[PARENT])
    assert task("train").data.tags[PARENT] != second.data.tags[PARENT]


def test_a_deleted_experiment_and_a_deleted_or_unknown_given_run_are_told(experiment, monkeypatch):
    client = mlflow_client()
    client.delete_experiment(task("train").info.experiment_id)
    with pytest.raises(InputError, match=f"experiment {experiment} is deleted; restore"):
        task("train")
    _, made = kfp_task(experiment)
    client.delete_run(made)
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    with pytest.raises(InputError, match=f"{made}, which MLFLOW_RUN_ID names, is deleted"):
        task("train")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(StorageError, match="MLflow at sqlite"):
        task("train")


def test_no_secret_reaches_the_database(server, monkeypatch):
    marks = [f"marked{n}zzzz" for n in range(5)]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", marks[0])
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "plainvalue")
    signed = f"s3://b/x?X-Amz-Signature={marks[1]}&keep=1"
    params = {"uri": signed, "note": f"plainvalue {marks[0]}", "s3": {"password": marks[2]}}
    with (  # noqa: PT012
        pytest.raises(ValueError, match="denied"),
        tracked_run("train", pipeline_run="p", tags={"from": f"http://u:{marks[3]}@h/"},
                    params=params) as run,
    ):  # fmt: skip
        run.log_dataset("d", digest="1", uri=f"https://u:{marks[4]}@host/x")
        raise ValueError(f"denied to {marks[0]}")
    stored = (server / "mlflow.db").read_bytes()
    assert [mark for mark in marks if mark.encode() in stored] == []
    found = mlflow_client().get_run(run.run_id).data.params
    assert found == {"uri": "s3://b/x?X-Amz-Signature=***&keep=1", "note": "plainvalue ***"}


def test_a_command_prints_nothing_of_mlflow_beside_its_result(monkeypatch):
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "false")
    mlflow_client()
    assert os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true"


def test_only_a_server_has_a_page_that_compares(monkeypatch):
    infos = [task(name).info for name in ("a", "b")]
    runs = [info.run_id for info in infos]
    assert compare_url(runs) == ""
    known = mlflow_client()
    monkeypatch.setattr("openmofi.tracking.server.mlflow_client", lambda: known)
    for name in ("USERNAME", "PASSWORD"):  # where user and password of the address go
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://u:hidden@mlflow.example/base/")
    assert compare_url(runs) == (
        "https://mlflow.example/base/#/compare-runs?"
        f"runs=%5B%22{runs[0]}%22%2C%20%22{runs[1]}%22%5D"
        f"&experiments=%5B%22{infos[0].experiment_id}%22%5D"
    )
    assert compare_url(runs[:1]) == ""
