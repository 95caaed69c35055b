"""Scope: what a real API server answers a launcher's calls, beside the one that other tests use.

Trainer's CRD as its server has it: defaults that it fills in, what it prunes, its rules in CEL.
"""

import copy
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from openmofi.launch.api import Kubernetes, KubernetesError, Place
from openmofi.launch.config import NodesConfig
from openmofi.launch.follow import Following
from openmofi.launch.job import Launch, train_job
from support.control_plane import ControlPlane
from support.crds import definition
from support.fake_nodes import Kind, nodes
from support.played_trainer import Trainer
from support.run_namespaces import run_namespace
from support.trainjob_launcher import RECIPE, wanted
from support.trainjob_server import NAMESPACE, Cluster, serve
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

NAME = f"openmofi-{RECIPE}"


@pytest.fixture(scope="module")
def team(plane: ControlPlane) -> Iterator[str]:
    with run_namespace(plane) as name:
        yield name


@pytest.fixture
def api(plane: ControlPlane, team: str, tmp_path: Path) -> Iterator[Kubernetes]:
    (tmp_path / "token").write_text(
        plane.kubectl("-n", team, "create", "token", "openmofi-pipeline")
    )
    (tmp_path / "ca.crt").write_bytes(plane.authority.read_bytes())
    yield Kubernetes(Place(plane.url, team, tmp_path, "nobody"), patience_s=10)
    plane.kubectl("-n", team, "delete", "trainjobs", "--all", "--timeout=90s")


def answers(api: Kubernetes) -> dict[str, tuple[int, str]]:
    """Status and reason of every call that a launcher makes, asked in an order that matters."""
    found: dict[str, tuple[int, str]] = {}

    def ask(what: str, method: str, path: str, **sent: Any) -> dict[str, Any]:
        is_log = path.endswith("/log")
        status, data = api._send(method, path, is_log=is_log, **sent)
        answer = json.loads(data) if data.startswith(b"{") else {}
        found[what] = (status, answer.get("reason", "") if status >= 300 else "")
        return answer

    jobs, pods = api._path("trainer.kubeflow.org", "trainjobs", ""), api._path("", "pods", "")
    strictly = {"fieldValidation": "Strict"}
    misspelt, wrong = wanted("a"), wanted("a")
    misspelt["spec"]["trainer"]["numNods"] = 2
    wrong["spec"]["trainer"]["numNodes"] = "two"
    ask("get none", "GET", f"{jobs}/{NAME}")
    ask("delete none", "DELETE", f"{jobs}/{NAME}", body=deletion("x"))
    ask("create a misspelt one", "POST", jobs, body=misspelt, query=strictly)
    ask("create a wrong one", "POST", jobs, body=wrong, query=strictly)
    made = ask("create", "POST", jobs, body=wanted("a"), query=strictly)
    ask("create again", "POST", jobs, body=wanted("b"), query=strictly)
    ask("get", "GET", f"{jobs}/{NAME}")
    ask("list pods", "GET", pods, query={"labelSelector": f"jobset.sigs.k8s.io/jobset-name={NAME}"})
    ask("no pod", "GET", f"{pods}/nope")
    ask("no pod's log", "GET", f"{pods}/nope/log", query={"container": "node"})
    ask("delete another", "DELETE", f"{jobs}/{NAME}", body=deletion("another"))
    ask("delete", "DELETE", f"{jobs}/{NAME}", body=deletion(made["metadata"]["uid"]))
    return found


def deletion(uid: str) -> dict[str, Any]:
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    return {**options, "preconditions": {"uid": uid}}


def test_the_tests_own_server_answers_as_kubernetes_does(api: Kubernetes, tmp_path: Path) -> None:
    real = answers(api)
    with serve(Cluster()) as url:
        played = answers(Kubernetes(Place(url, NAMESPACE, tmp_path / "none", "launcher")))
    assert played == real


def test_nothing_of_a_job_is_lost_or_added_but_trainers_defaults(api: Kubernetes) -> None:
    launch = Launch(RECIPE, "s3://b/x.json", {"max_steps": 3, "a": "$(HOME)"}, "mine", "a-run")
    asked = train_job(launch, NodesConfig(count=4, queue="openmofi"), image="an-image")
    api.create_job(asked)
    stored = api.job(NAME)
    assert stored
    expected = copy.deepcopy(asked["spec"])
    expected |= {"managedBy": "trainer.kubeflow.org/trainjob-controller", "suspend": False}
    expected["runtimeRef"] |= {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime"}
    assert stored["spec"] == expected
    for part in ("labels", "annotations"):
        assert stored["metadata"][part] == asked["metadata"][part]


def test_a_field_that_this_trainer_does_not_have_is_refused_by_name(api: Kubernetes) -> None:
    """Unasked, the server would drop it, and train on something else."""
    job = wanted("a")
    job["spec"]["trainer"]["numNods"] = 2
    with pytest.raises(
        KubernetesError, match=r'\(400\).*unknown field "spec.trainer.numNods"'
    ) as e:
        api.create_job(job)
    assert "\n" not in str(e.value)
    assert api.job(NAME) is None


def test_a_name_that_trainers_rules_refuse_is_told_in_its_words(api: Kubernetes) -> None:
    job = wanted("a")
    job["metadata"]["name"] = "0-begins-with-a-digit"
    with pytest.raises(
        KubernetesError, match=r"\(422\).*must match RFC 1035 DNS label format"
    ) as e:
        api.create_job(job)
    assert "\n" not in str(e.value)


def test_a_token_that_is_none_is_told_in_one_line(api: Kubernetes, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("expired")
    with pytest.raises(KubernetesError, match=r"\(401\): Unauthorized; is the pod's service acc"):
        api.own_image()


@pytest.mark.parametrize("call", ["jobs of others", "pods of others"])
def test_the_role_ends_at_the_namespace(
    plane: ControlPlane, api: Kubernetes, tmp_path: Path, call: str
) -> None:
    elsewhere = Kubernetes(Place(plane.url, "default", tmp_path, "nobody"), patience_s=10)
    with pytest.raises(KubernetesError, match=r"\(403\): .* in the namespace \"default\"; k8s/gpu"):
        elsewhere.job(NAME) if call == "jobs of others" else elsewhere.pods_of(NAME)


def test_a_node_whose_machine_is_lost_does_not_hide_the_jobs_end(
    plane: ControlPlane, team: str, api: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server answers 500 for its log, for as long as nobody listens there."""
    told: list[str] = []
    monkeypatch.setattr("openmofi.launch.node_log.say", told.append)
    monkeypatch.setattr("openmofi.launch.api._LOG_PATIENCE_S", 0.5)
    api.create_job(wanted("a"))
    trainer = Trainer(plane, team, NAME)
    lost = Kind("lost", 1, "15890m", "80Gi", 1, pool="gpu-training", tainted=True)
    with nodes(plane, [lost], port=9), ThreadPoolExecutor(1) as pool:
        pod = trainer.add_node(0)
        trainer.start(pod)
        model = iter(["", "s3://b/m"])
        run = pool.submit(Following(api, wanted("a"), lambda: next(model), 0.1).run)
        wait_for(lambda: told)
        trainer.set_condition("Complete", "all jobs are complete")
        assert run.result(60) == "s3://b/m"
        trainer.let_go(pod)
    assert len(told) == 1
    assert "(500)" in told[0]
    assert "dial tcp 127.0.0.1:9: connect: connection refused; the job is followed" in told[0]


def test_a_node_that_has_no_machine_yet_has_no_log(
    plane: ControlPlane, team: str, api: Kubernetes
) -> None:
    api.create_job(wanted("a"))
    trainer = Trainer(plane, team, NAME)
    pod = trainer.add_node(0)
    assert not api.log_of(pod)
    (found,) = wait_for(lambda: [p for p in api.pods_of(NAME) if p["status"].get("conditions")])
    assert found["metadata"]["name"] == pod
    assert found["status"]["phase"] == "Pending"
    trainer.let_go(pod)


def test_a_cluster_without_trainer_is_told_in_one_line(
    plane: ControlPlane, api: Kubernetes
) -> None:
    crd = definition("trainjobs")
    plane.kubectl("delete", "crd", crd["metadata"]["name"])
    try:
        with pytest.raises(KubernetesError, match=r"\(404\): .*; is Kubeflow Trainer 2.2 or") as e:
            api.create_job(wanted("a"))
        assert "\n" not in str(e.value)
    finally:
        plane.kubectl("create", "-f", "-", given=json.dumps(crd))
        wait_for(lambda: plane.run("kubectl", "-n", "default", "get", "trainjobs").returncode == 0)
