"""Scope: the calls to Kubernetes: what is tried again, what is told, and which rights they take."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.launch import api as api_module
from openmofi.launch.api import RIGHTS, Kubernetes, KubernetesError, Place
from support.trainjob_launcher import RECIPE, wanted
from support.trainjob_server import IMAGE, NAMESPACE, Cluster

NAME = f"openmofi-{RECIPE}"


def first(times: int, fault: Any, verb: str = "") -> Callable[[str, str], Any]:
    """A fault of the first calls."""
    left: Iterator[Any] = iter([fault] * times)
    return lambda made, _: next(left, None) if verb in ("", made) else None


def use_all(kubernetes: Kubernetes, cluster: Cluster) -> None:
    kubernetes.own_image()
    job = kubernetes.create_job(wanted("a"))
    assert job is not None
    pod = cluster.start_node(0)
    kubernetes.pods_of(NAME)
    kubernetes.log_of(pod)
    assert kubernetes.job(NAME) == job
    kubernetes.delete_job(NAME, job["metadata"]["uid"])


def test_the_rights_are_what_is_called(kubernetes: Kubernetes, cluster: Cluster) -> None:
    use_all(kubernetes, cluster)
    assert set(cluster.calls) == RIGHTS


def test_a_call_without_a_right_is_never_sent(kubernetes: Kubernetes, cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="no right is asked for to list trainjobs"):
        kubernetes._call("list", "trainjobs")
    assert cluster.calls == []


@pytest.mark.parametrize(
    "fault", [(429, "slow down"), (500, "etcd"), (502, ""), (503, ""), (504, ""), "half", "lost"]
)
def test_what_passes_is_asked_again(kubernetes: Kubernetes, cluster: Cluster, fault: Any) -> None:
    cluster.fault = first(2, fault)
    assert kubernetes.own_image() == IMAGE
    assert len(cluster.calls) == 3


def test_a_slow_answer_is_asked_for_again(kubernetes: Kubernetes, cluster: Cluster) -> None:
    kubernetes = Kubernetes(kubernetes.place, patience_s=60, timeout_s=0.3)
    slow = first(1, 0.5)
    cluster.fault = lambda verb, what: time.sleep(slow(verb, what) or 0)
    assert kubernetes.own_image() == IMAGE


@pytest.mark.parametrize("fault", ["half", "lost"])
def test_a_job_whose_making_was_not_answered_is_there_once(
    kubernetes: Kubernetes, cluster: Cluster, fault: str
) -> None:
    cluster.fault = first(1, fault)
    assert kubernetes.create_job(wanted("a")) is None  # refused: it is there
    assert cluster.made == 1


def test_patience_ends(kubernetes: Kubernetes, cluster: Cluster) -> None:
    kubernetes.patience_s = 0.5
    cluster.fault = first(1000, (503, "etcd leader changed"))
    with pytest.raises(KubernetesError, match=r"refused to get pods 'launcher' \(503\): etcd le"):
        kubernetes.own_image()
    assert len(cluster.calls) > 3


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = Place("http://127.0.0.1:9", NAMESPACE, tmp_path, "launcher")
    with pytest.raises(KubernetesError, match=r"127.0.0.1:9, namespace kubeflow-user, can't be"):
        Kubernetes(place, patience_s=0).own_image()


def test_a_job_that_trainers_admission_refuses_is_told_without_a_word_of_rights(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    why = 'admission webhook "validator.trainjob.trainer.kubeflow.org" denied it: no runtime'
    cluster.fault = first(9, (403, why))
    with pytest.raises(KubernetesError, match=r"create trainjobs \(403\): .*: no runtime$"):
        kubernetes.create_job(wanted("a"))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "is the pod's service account still there"),
        (403, "k8s/gpu has the role"),
        (400, "Fault|no such field"),
        (422, "no such field"),
    ],
)
def test_a_refusal_is_told_at_once_in_one_line(
    kubernetes: Kubernetes, cluster: Cluster, status: int, told: str
) -> None:
    cluster.fault = first(9, (status, "no such field"))
    with pytest.raises(KubernetesError, match=rf"create trainjobs \({status}\): .*({told})") as e:
        kubernetes.create_job(wanted("a"))
    assert "\n" not in str(e.value)
    assert e.value.status == status
    assert len(cluster.calls) == 1


def test_a_cluster_without_trainer_is_told(kubernetes: Kubernetes, cluster: Cluster) -> None:
    cluster.installed = False
    with pytest.raises(KubernetesError, match=r"\(404\): 404 page not found; is Kubeflow Trainer"):
        kubernetes.create_job(wanted("a"))


def test_what_does_not_fit_the_crd_is_refused_by_name(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    job = wanted("a")
    job["spec"]["trainer"]["numNods"] = 2
    with pytest.raises(KubernetesError, match=r"\(400\).*unknown field.*numNods"):
        kubernetes.create_job(job)


def test_what_is_gone_is_none_and_is_not_asked_for_again(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    assert kubernetes.job(NAME) is None
    assert kubernetes.log_of("nobody") is None
    kubernetes.delete_job(NAME, "uid-1")
    assert len(cluster.calls) == 3


def test_only_the_very_job_is_deleted(kubernetes: Kubernetes, cluster: Cluster) -> None:
    kubernetes.create_job(wanted("a"))
    kubernetes.delete_job(NAME, "uid-of-an-earlier-one")
    assert kubernetes.job(NAME) is not None


def test_a_log_that_has_not_begun_is_none(kubernetes: Kubernetes, cluster: Cluster) -> None:
    kubernetes.create_job(wanted("a"))
    assert kubernetes.log_of(cluster.start_node(0, "Pending")) is None


def test_the_token_is_read_anew_each_time(
    kubernetes: Kubernetes, cluster: Cluster, tmp_path: Path
) -> None:
    kubernetes.own_image()
    (tmp_path / "token").write_text("second")
    kubernetes.own_image()
    assert cluster.tokens == ["Bearer first", "Bearer second"]


def test_a_pod_whose_step_has_another_container_is_told(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    cluster.pods["launcher"]["spec"]["containers"].pop()
    with pytest.raises(KubernetesError, match="pod launcher has no container 'main'"):
        kubernetes.own_image()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("namespace", NAMESPACE), ("token", "t"), ("ca.crt", "c")):
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setenv("HOSTNAME", "train-model-7")
    return tmp_path


def test_a_pod_knows_its_place(account: Path) -> None:
    place = Place.of_this_pod(account)
    assert place == Place("https://[fd00::1]:443", NAMESPACE, account, "train-model-7")


def test_a_machine_that_is_no_pod_is_told_so(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (account / "token").unlink()  # automountServiceAccountToken: false
    with pytest.raises(InputError, match="several nodes need a cluster"):
        Place.of_this_pod(account)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(InputError, match=r"training_nodes\.count to 1"):
        Place.of_this_pod(api_module.ACCOUNT)
