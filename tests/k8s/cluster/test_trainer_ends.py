"""Scope: jobs from their making to their end, by Trainer's and JobSet's own controllers.

Launchers are processes with the account of runs; only what kubelets would say is played.
"""

from collections.abc import Iterator

import pytest

from openmofi.launch.config import NodesConfig
from support.control_plane import ControlPlane
from support.run_namespaces import set_status
from support.trainer_controllers import lacking
from support.training_team import NAME, Team, made, training_team
from support.waiting import wait_for

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
MODEL = "s3://b/manifests/model/m.json"
NODES = NodesConfig(count=2)


@pytest.fixture(scope="module")
def whole(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with training_team(plane, tmp_path_factory.mktemp("team")) as found:
        yield found


@pytest.fixture
def team(whole: Team) -> Iterator[Team]:
    yield whole
    whole.clear()


def test_a_job_that_is_complete_gives_its_model_and_leaves_nothing(team: Team) -> None:
    launcher, (first, second) = team.launched()
    team.machine.write(first, "step 3/3", when="2026-11-29T00:00:01.000000001Z")
    team.end(second, 0)
    (team.account / "model").write_text(MODEL)
    team.end(first, 0)
    out, err = launcher.communicate(timeout=90)
    assert (out.strip(), launcher.returncode) == (MODEL, 0), err
    assert f"TrainJob {NAME}: made, 2 nodes" in err
    assert "2 of 2 nodes have started" in err
    assert "step 3/3" in err
    assert f"TrainJob {NAME}: complete" in err
    wait_for(lambda: not team.left())


def test_a_job_whose_node_fails_ends_with_that_nodes_words_and_is_made_anew(team: Team) -> None:
    launcher, (first, second) = team.launched()
    team.machine.write(second, "CUDA out of memory", when="2026-11-29T00:00:01.000000001Z")
    team.end(second, 1)
    wait_for(lambda: team.is_leaving(first))  # by Kubernetes, once, with its time to save
    assert launcher.stderr
    told = next(line for line in launcher.stderr if "is to end by" in line)  # at its next look
    assert launcher.poll() is None
    team.let_go(first)
    err = told + launcher.stderr.read()
    assert launcher.wait(90) == 1
    assert f"{second} has failed: Error, exit code 1; {first} on trains-" in err
    assert f"TrainJob {NAME} failed: jobset failed due to one or more job failures" in err
    assert f"first {second}: Error, exit code 1; its last lines:" in err
    assert err.rstrip().endswith("CUDA out of memory")
    assert f"Pod {second}" in team.left()  # for people to look at
    earlier = team.job()["metadata"]["uid"]
    again = team.launch()
    wait_for(lambda: team.jobs() and team.job()["metadata"]["uid"] != earlier)
    pods = team.started()
    assert not {first, second} & set(pods)
    (team.account / "model").write_text(MODEL)
    for pod in pods:
        team.end(pod, 0)
    out, err = again.communicate(timeout=90)
    assert out.strip() == MODEL, err
    assert "an earlier one has ended; made anew" in err


def test_a_node_that_is_evicted_is_not_started_again_alone(team: Team) -> None:
    launcher, (first, second) = team.launched()
    evicted = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    set_status(team.plane, team.namespace, "pod", first, evicted)
    wait_for(lambda: team.is_leaving(second))
    team.let_go(second)
    _, err = launcher.communicate(timeout=90)
    assert f"first {first}: Evicted, low on memory" in err
    assert [pod["metadata"]["name"] for pod in team.pods()] == [first]


def test_a_launcher_that_is_told_to_stop_takes_its_job_and_no_new_pod_is_made(team: Team) -> None:
    """Deleted in the foreground, a job would be given pods anew while its nodes save."""
    launcher, pods = team.launched()
    wait_for(lambda: team.machine.asked)
    launcher.terminate()
    _, err = launcher.communicate(timeout=90)
    assert launcher.returncode == 143, err
    assert "the job is deleted, training saves" in err
    wait_for(lambda: team.left() == [f"Pod {pod}" for pod in pods])
    grace = {pod["metadata"]["deletionGracePeriodSeconds"] for pod in team.pods()}
    assert grace == {300}
    again = team.launch("b")
    told = again.stderr.readline() if again.stderr else ""
    assert f"waits for an earlier one's end: {pods[0]} on trains-" in told
    assert team.left() == [f"Pod {pod}" for pod in pods]
    team.let_go(*pods)
    assert not set(team.placed()) & set(pods)
    assert team.job()["metadata"]["annotations"]["openmofi/run"] == "b"


def test_a_job_is_held_and_let_go_as_a_queue_does(team: Team) -> None:
    """Kueue makes jobs of its queues held, and lets them go by the same field."""
    made(team, NODES, suspend=True)
    launcher = team.launch("a-run")
    words = ("patch", "trainjob", NAME, "--type=merge", "-p")
    wait_for(lambda: "Suspended" in str(team.job().get("status", {}).get("conditions")))
    assert team.pods() == []
    team.kubectl(*words, '{"spec": {"suspend": false}}')
    pods = team.started()
    wait_for(lambda: team.machine.asked)
    team.kubectl(*words, '{"spec": {"suspend": true}}')  # preempted
    wait_for(lambda: all(team.is_leaving(pod) for pod in pods))
    team.let_go(*pods)
    wait_for(lambda: not team.pods())
    team.kubectl(*words, '{"spec": {"suspend": false}}')
    pods = team.started()
    (team.account / "model").write_text(MODEL)
    for pod in pods:
        team.end(pod, 0)
    out, err = launcher.communicate(timeout=90)
    assert out.strip() == MODEL, err
    assert "waits until it is let go: TrainJob is suspended" in err
    assert "2 of 2 nodes have started" in err


def test_a_job_past_its_hours_is_ended_and_says_so(team: Team) -> None:
    made(team, NODES, activeDeadlineSeconds=15)
    pods = team.started()
    launcher = team.launch()
    _, err = launcher.communicate(timeout=90)
    assert f"TrainJob {NAME} failed: TrainJob exceeded its active deadline" in err
    wait_for(lambda: all(team.is_leaving(pod) for pod in pods))
    team.let_go(*pods)


@pytest.mark.timeout(300)
def test_a_job_whose_machine_is_taken_out_of_the_cluster_fails(team: Team) -> None:
    """Kubernetes looks for pods of machines that are gone every 20 s, and waits 40 s more."""
    launcher = team.launch()
    wait_for(team.jobs)
    first, _ = team.started()
    machine = team.pods()[1]["spec"]["nodeName"]
    lost = team.plane.get("node", machine)
    team.plane.kubectl("delete", "node", machine)
    try:
        wait_for(lambda: team.is_leaving(first), 120)
        team.let_go(first)
        _, err = launcher.communicate(timeout=90)
        assert f"TrainJob {NAME} failed: jobset failed" in err
    finally:
        for name in ("resourceVersion", "uid", "creationTimestamp"):
            lost["metadata"].pop(name)
        team.put_back(lost)
