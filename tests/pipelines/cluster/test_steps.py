"""A run's steps, pods and logs, by the graph's titles."""

import io

import pytest
import yaml

from openmofi.errors import InputError
from pipelines.cluster import pods, runs, show
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.steps import titles_of
from support.fake_kubectl import install_kubectl, pod
from support.kfp_toys import SPEC


def task(name, state, **more):
    return {"display_name": name, "state": state, **more}


NODES = (
    task("toy-x7k2p", "FAILED"),
    task("root", "FAILED"),
    task("make-driver", "SUCCEEDED"),
    task(
        "make",
        "SUCCEEDED",
        start_time="2026-11-29T03:00:00Z",
        end_time="2026-11-29T03:01:30Z",
        child_tasks=[{"pod_name": "toy-x7k2p-1"}],
    ),
    task("make(0)", "FAILED"),
    task("loop", "FAILED"),
    task("make-2", "SUCCEEDED", start_time="2026-11-29T03:02:00Z"),
    task("make-2", "FAILED", start_time="2026-11-29T03:03:00Z", error={"message": "exit\ncode 2"}),
    task("executor", "FAILED"),
)


@pytest.fixture
def failed(kfp, api, version, experiment):
    run, _ = runs.submit(api, runs.Wanted("nightly", experiment, version, {}))
    kfp.end_run(run.run_id, "FAILED", *NODES, message="workflow failed")
    return runs.read_run(api, run.run_id)


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    return lambda **known: install_kubectl(tmp_path, **known)


def test_titles_are_those_of_steps_in_loops_too():
    assert titles_of(yaml.safe_load(SPEC)) == {"make": "make-one", "make-2": "make-many"}


def test_steps_are_told_from_argos_nodes_and_a_loop_is_added_up(api, failed):
    one, many = show.read_steps(api, failed)
    assert (one.title, one.describe(), one.seconds) == ("make-one", "succeeded", 90.0)
    assert (many.title, many.describe()) == ("make-many", "1 failed, 1 succeeded")
    assert one.pods == ("toy-x7k2p-1",)


def test_the_failed_step_is_named(api, failed):
    assert show.reason(api, failed) == "make-many failed (exit code 2); workflow failed"


def test_a_step_that_failed_before_its_pod_is_named(kfp, api, failed):
    kfp.end_run(failed.run_id, "FAILED", task("make-driver", "FAILED"))
    assert show.reason(api, runs.read_run(api, failed.run_id)) == "make-one failed; workflow failed"


def test_a_run_of_no_version_of_ours_is_shown_without_titles(kfp, api, failed):
    kfp.stores["versions"].clear()
    assert show.reason(api, runs.read_run(api, failed.run_id)) == "workflow failed"


def test_progress_tells_each_change_once(kfp, api, failed):
    told = []
    progress = show.Progress(api, told.append)
    progress(failed)
    progress(failed)
    assert told == [
        "run nightly: failed",
        "make-one: succeeded",
        "make-many: 1 failed, 1 succeeded",
    ]


def test_status_shows_pods_and_what_holds_them_up(api, failed, kubectl):
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    said = "0/3 nodes: no\nGPU. preemption: 0/3 nodes: it would not help."
    no_room = {"type": "PodScheduled", "status": "False", "message": said}
    killed = {"terminated": {"reason": "OOMKilled"}}
    found = [
        pod("a", "toy.root.make.executor", phase="Pending", containerStatuses=[{"state": waiting}]),
        pod("b", "toy.root.loop.it(0:x).make-2(0).executor(1)", phase="Pending",
            conditions=[no_room]),
        pod("c", "toy.root.loop.it(1:y).make-2.executor(0)", phase="Failed",
            containerStatuses=[{"state": killed}]),
        pod("d", "toy.root.make-driver", phase="Succeeded"),
    ]  # fmt: skip
    folder = kubectl(pods=found)
    text = show.describe(api, failed, "team-a")
    rows = [line.split(maxsplit=3) for line in text.splitlines()]
    assert ["make-one", "succeeded", "90", "a Pending: ImagePullBackOff"] in rows
    assert [line for line in text.splitlines() if line.endswith("  b Pending: 0/3 nodes: no GPU")]
    assert "c Failed: OOMKilled" in text
    assert "d Succeeded" not in text
    assert "failed: make-many failed (exit code 2); workflow failed" in text
    asked = (folder / "calls").read_text()
    assert asked == f"-n team-a get pods -l pipeline/runid={failed.run_id} -o json\n"


def test_status_tells_of_argos_and_kfps_own_containers_too(api, failed, kubectl):
    unpulled = [{"state": {"waiting": {"reason": "ErrImagePull"}}}]
    starting = [{"state": {"waiting": {"reason": "PodInitializing"}}}]
    statuses = {"initContainerStatuses": unpulled, "containerStatuses": starting}
    kubectl(pods=[pod("a", "toy.root.make.executor", phase="Pending", **statuses)])
    assert "a Pending: ErrImagePull, PodInitializing" in show.describe(api, failed, "team-a")


def test_status_without_kubectl_says_so_and_shows_the_rest(api, failed, kubectl):
    text = show.describe(api, failed, "team-a")
    assert "pods are not shown: pods are asked for by kubectl" in text
    assert "make-many" in text


def test_logs_of_living_pods_come_by_kubectl(api, failed, kubectl, capfd):
    kubectl(
        pods=[pod("a", "toy.root.make.executor"), pod("c", "t.root.it.make-2.executor(0)")],
        logs={"a": "one\n", "c": "two\n"},
    )
    show.print_logs(api, failed, "make-many", "team-a", follow=True, out=io.StringIO())
    assert capfd.readouterr().out == "two\n\n"


def test_logs_come_by_the_api_where_the_server_has_them(kfp, api, failed):
    kfp.logs[failed.run_id, "toy-x7k2p-1"] = "done\n"
    out = io.StringIO()
    show.print_logs(api, failed, "", "", follow=False, out=out)
    assert out.getvalue() == "== make-one: toy-x7k2p-1\ndone\n"


def test_a_log_is_followed_to_the_end_of_the_run(kfp, api, failed):
    key = (failed.run_id, "toy-x7k2p-1")
    kfp.logs[key] = "1\n"
    kfp.end_run(failed.run_id, "RUNNING", *NODES)
    parts = iter(["2\n", "3\n"])

    def sleep(_):
        kfp.logs[key] += next(parts, "")
        kfp.stores["runs"][failed.run_id]["state"] = "RUNNING" if "3" not in kfp.logs[key] else (
            "SUCCEEDED"
        )  # fmt: skip

    api.sleep = sleep
    out = io.StringIO()
    show.print_logs(api, failed, "make-one", "", follow=True, out=out)
    assert out.getvalue() == "== make-one: toy-x7k2p-1\n1\n2\n3\n"


def test_logs_that_are_gone_are_told_with_where_they_may_lie(api, failed):
    with pytest.raises(ClusterError, match=r"its pods are gone .* main.log under private-art"):
        show.print_logs(api, failed, "", "", follow=False, out=io.StringIO())


def test_a_step_that_has_not_begun_is_told(api, failed):
    with pytest.raises(InputError, match=r"no step train has begun in .*: make-one, make-many"):
        show.print_logs(api, failed, "train", "", follow=False, out=io.StringIO())


def test_the_servers_refusal_within_an_answer_of_200_is_no_log(api, failed):
    with pytest.raises(ClusterError, match="reading the log of p: pod p not found"):
        pods.read_log(api, failed.run_id, "p")
