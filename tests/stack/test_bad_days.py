"""Scope: MLflow's real server is killed, and loses answers, while a small pipeline runs.

``make test-bad-days`` tries every fault at every moment.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openmofi.tracking import mlflow_client, tracked_run
from support.fault_proxy import Fault
from support.servers import Servers, servers
from support.small_day import LOGGED_STEPS, Day, write_inputs
from support.stacks import port_options, stack_folder

pytestmark = [pytest.mark.s3, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Place:
    """Servers, and what a day begins with."""

    both: Servers
    inputs: Path


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with stack_folder() as folder, servers(folder / "stack", *port_options()) as both:
        yield Place(both, write_inputs(folder / "inputs"))


def test_a_run_is_made_once_though_the_answers_are_lost(place: Place) -> None:
    # The pipeline's, the answer twice lost, then the task's.
    lost = Fault("POST", "/runs/create", lose_answer=True)
    place.both.mlflow.fail(lost, lost, Fault("POST", "/runs/create"), lost)
    day = Day(place.inputs)
    with tracked_run("train", pipeline_run=day.name, tags={}, params={}):
        pass
    asked = [path for _, path in place.both.mlflow.requests if path.endswith("/runs/create")]
    assert len(asked) == 5
    found = [(run.info.run_name, run.info.status) for run in day.runs()]
    assert sorted(found) == [(day.name, "FINISHED"), ("train", "FINISHED")]


def test_a_training_outlives_an_mlflow_that_is_killed_and_loses_no_metric(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both = place.both
    both.mlflow.clear()
    monkeypatch.setenv("OPENMOFI_MLFLOW_PATIENCE_S", "300")
    again = threading.Timer(5, both.start)

    def kill() -> None:
        both.kill("mlflow")
        again.start()

    both.s3.fail(Fault("PUT", "/checkpoints/", then=kill))
    day = Day(place.inputs)
    day.work("training")
    again.join()
    assert both.s3.hit == 1
    assert both.mlflow.requests
    runs = day.runs()
    assert [run.info.status for run in runs] == ["FINISHED"] * 2  # parent and training
    [trained] = [run.info.run_id for run in runs if "mlflow.parentRunId" in run.data.tags]
    for metric in ("train/loss", "train/epochs"):
        points = mlflow_client().get_metric_history(trained, metric)
        assert sorted(point.step for point in points) == LOGGED_STEPS
    assert "step 20/20" in capsys.readouterr().err
