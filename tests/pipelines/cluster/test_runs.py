"""Runs are submitted once by name, whatever becomes of the answers."""

import threading
from dataclasses import replace

import pytest

from openmofi.errors import InputError
from pipelines.cluster import runs
from pipelines.cluster.errors import EndedError, UncertainError
from support.kfp_server import Fault

CREATE = r"POST .*/runs$"


@pytest.fixture
def wanted(version, experiment):
    return runs.Wanted("nightly-1", experiment, version, {"size": 3}, "openmofi-pipeline")


def test_a_run_carries_version_parameters_and_account(kfp, api, wanted):
    run, new = runs.submit(api, replace(wanted, mlflow_experiment="flags"))
    [stored] = kfp.all("runs")
    assert (new, run.run_id) == (True, stored["run_id"])
    assert stored["pipeline_version_reference"] == {
        "pipeline_id": wanted.version.pipeline_id,
        "pipeline_version_id": wanted.version.version_id,
    }
    assert stored["runtime_config"] == {"parameters": {"size": 3}}
    assert stored["service_account"] == "openmofi-pipeline"
    assert stored["plugins_input"] == {"mlflow": {"experiment_name": "flags"}}


def test_without_an_mlflow_experiment_the_plug_in_gets_no_input(kfp, api, wanted):
    runs.submit(api, wanted)
    assert "plugins_input" not in kfp.all("runs")[0]


def test_the_same_run_submitted_again_is_the_same_run(kfp, api, wanted):
    first, _ = runs.submit(api, wanted)
    again, new = runs.submit(api, wanted)
    assert (again.run_id, new) == (first.run_id, False)
    assert len(kfp.all("runs")) == 1


@pytest.mark.parametrize(
    "change",
    [{"parameters": {"size": 4}}, {"service_account": "x"}, {"mlflow_experiment": "y"}],
)
def test_a_name_that_stands_for_something_else_is_refused(kfp, api, wanted, change):
    runs.submit(api, wanted)
    with pytest.raises(InputError, match=r"run nightly-1 is there already .* --run-name"):
        runs.submit(api, replace(wanted, **change))
    assert len(kfp.all("runs")) == 1


@pytest.mark.parametrize("kind", ["late", "lost", "cut", "garbage"])
def test_a_lost_answer_makes_no_second_run(kfp, hurried, wanted, kind):
    kfp.faults.append(Fault(kind, CREATE))
    run, _ = runs.submit(hurried, wanted)
    assert [r["run_id"] for r in kfp.all("runs")] == [run.run_id]
    assert kfp.requests.count("POST /apis/v2beta1/runs") == 1


@pytest.mark.parametrize("kind", [500, 502, 504, "held"])
def test_a_run_that_has_not_come_to_be_is_not_asked_for_again(kfp, hurried, wanted, kind, pauses):
    kfp.faults.append(Fault(kind, CREATE))
    with pytest.raises(UncertainError, match=r"again with --run-name nightly-1"):
        runs.submit(hurried, wanted)
    assert kfp.requests.count("POST /apis/v2beta1/runs") == 1
    assert sum(pauses) >= 30
    assert runs.submit(hurried, wanted)[1] is True  # what the message says to do


def test_a_run_that_comes_late_is_found(kfp, hurried, wanted, pauses):
    kfp.faults.append(Fault("held", CREATE))
    body = {
        "display_name": wanted.name,
        "experiment_id": wanted.experiment_id,
        "description": f"openmofi-key: {wanted.key()}",
        "state": "PENDING",
    }
    hurried.sleep = lambda pause: (
        pause >= 4 and not kfp.all("runs") and kfp.add("runs", "run_id", body)
    )
    assert runs.submit(hurried, wanted)[0].run_id == kfp.all("runs")[0]["run_id"]


def test_a_server_that_is_busy_gets_one_run(kfp, api, wanted):
    kfp.faults.append(Fault(429, CREATE, times=3))
    runs.submit(api, wanted)
    assert len(kfp.all("runs")) == 1


def test_of_two_at_the_same_moment_the_older_stays(kfp, api, wanted):
    meeting = threading.Barrier(2)
    real, results = api.write, []

    def write(*arguments, **options):
        meeting.wait(5)  # both have looked, and found none
        answer = real(*arguments, **options)
        meeting.wait(5)
        return answer

    api.write = write
    submitting = [
        threading.Thread(target=lambda: results.append(runs.submit(api, wanted))) for _ in range(2)
    ]
    for thread in submitting:
        thread.start()
    for thread in submitting:
        thread.join()
    older, younger = kfp.all("runs")
    assert {run.run_id for run, _ in results} == {older["run_id"]}
    assert (older["state"], younger["state"]) == ("PENDING", "CANCELED")


def test_a_lost_answer_beside_anothers_run_leaves_one(kfp, hurried, wanted):
    def meanwhile(request):
        if request.endswith("/runs"):
            first = dict(kfp.all("runs")[0])
            kfp.after_write = lambda _: None
            kfp.add("runs", "run_id", first)

    kfp.after_write = meanwhile
    kfp.faults.append(Fault("lost", CREATE))
    run, _ = runs.submit(hurried, wanted)
    older, younger = kfp.all("runs")
    assert run.run_id == older["run_id"]
    assert (older["state"], younger["state"]) == ("PENDING", "CANCELED")


def test_the_same_name_elsewhere_is_another_run(kfp, api, wanted):
    runs.submit(api, wanted)
    elsewhere = kfp.add("experiments", "experiment_id", {"display_name": "other"})
    _, new = runs.submit(api, replace(wanted, experiment_id=elsewhere["experiment_id"]))
    assert new


def test_a_run_is_found_by_id_or_the_youngest_by_name(kfp, api, wanted):
    first, _ = runs.submit(api, wanted)
    elsewhere = kfp.add("experiments", "experiment_id", {"display_name": "other"})
    second, _ = runs.submit(api, replace(wanted, experiment_id=elsewhere["experiment_id"]))
    assert runs.find_run(api, first.run_id, "").run_id == first.run_id
    assert runs.find_run(api, "nightly-1", "").run_id == second.run_id
    with pytest.raises(InputError, match="no run nightly-2"):
        runs.find_run(api, "nightly-2", "")
    with pytest.raises(InputError, match=f"no run {first.run_id[:-4]}0000 at http"):
        runs.find_run(api, f"{first.run_id[:-4]}0000", "")


def test_a_failed_run_is_retried_once_though_the_answer_is_lost(kfp, api, wanted):
    run, _ = runs.submit(api, wanted)
    kfp.end_run(run.run_id, "FAILED")
    kfp.faults.append(Fault("lost", "retry"))
    assert runs.retry(api, run.run_id) is True
    assert runs.retry(api, run.run_id) is False  # under way
    assert sum("retry" in request for request in kfp.requests) == 1
    kfp.end_run(run.run_id, "SUCCEEDED")
    with pytest.raises(InputError, match="is succeeded: there is nothing to retry"):
        runs.retry(api, run.run_id)


def test_a_retry_that_did_not_take_is_told(kfp, hurried, wanted):
    run, _ = runs.submit(hurried, wanted)
    kfp.end_run(run.run_id, "FAILED")
    kfp.faults.append(Fault("held", "retry"))
    with pytest.raises(UncertainError, match="retrying run"):
        runs.retry(hurried, run.run_id)


def test_a_run_is_cancelled_once(kfp, api, wanted):
    run, _ = runs.submit(api, wanted)
    kfp.faults.append(Fault("lost", "terminate"))
    assert runs.cancel(api, run.run_id) is True
    assert kfp.all("runs")[0]["state"] == "CANCELED"
    assert runs.cancel(api, run.run_id) is False


def test_waiting_outlives_faults_and_ends_with_the_run(kfp, api, wanted):
    run, _ = runs.submit(api, wanted)
    states = iter(["RUNNING", "RUNNING", "SUCCEEDED"])
    seen = []

    def show(found):
        seen.append(found.state)
        kfp.faults.append(Fault(503, "GET .*/runs/", times=2))
        kfp.end_run(run.run_id, next(states, "SUCCEEDED"))

    ended = runs.wait(api, run.run_id, show=show, poll_s=1, timeout_s=None)
    assert ended.state == "SUCCEEDED"
    assert seen == ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]


def test_waiting_ends_with_the_time_and_the_run_goes_on(kfp, api, wanted):
    run, _ = runs.submit(api, wanted)
    clock = iter(range(100))
    with pytest.raises(EndedError, match="still pending after 5 s; it goes on") as raised:
        runs.wait(
            api,
            run.run_id,
            show=lambda _: None,
            poll_s=1,
            timeout_s=5,
            clock=lambda: float(next(clock)),
        )
    assert raised.value.code == 3
    assert kfp.all("runs")[0]["state"] == "PENDING"
