"""Scope: k8s/: controllers make the pods, and admission lets ours in and no others.

By Kubernetes' own controllers, Pod Security, LimitRanger and ResourceQuota. Nothing runs.
"""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.applied import checkout
from support.control_plane import ControlPlane, lacking
from support.manifests import Object, containers, named, render, templates
from support.waiting import wait_for

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
OURS = ("-l", "app.kubernetes.io/part-of=openmofi")
# Who makes a pod of each template, and how many there are.
OWNERS = {
    "Deployment/openmofi-mlflow": "ReplicaSet",
    "StatefulSet/openmofi-postgres": "StatefulSet",
    "StatefulSet/openmofi-minio": "StatefulSet",
    "Job/openmofi-buckets": "Job",
    "CronJob/openmofi-backup": "Job",
    "Job/openmofi-restore": "Job",
}
TEMPLATES = {**templates(render("local")), **templates(render("restore"))}
NODE = templates(render("gpu"))["ClusterTrainingRuntime/openmofi-torch"]


@pytest.fixture(scope="module")
def pods(
    plane: ControlPlane, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Object]]:
    """The pod of every template in k8s/mine (local and GPU pools) and k8s/restore."""
    folder = checkout(tmp_path_factory.mktemp("restricted") / "work")
    words = ("-n", namespace)
    plane.kubectl(*words, "apply", "-k", str(folder / "k8s" / "mine"))
    plane.kubectl(*words, "create", "job", "dump-now", "--from=cronjob/openmofi-backup")
    plane.kubectl(*words, "apply", "-k", str(folder / "k8s" / "restore"))

    def all_made() -> list[Object]:
        assert not_made(plane, namespace) == []
        found = plane.get(*words, "pods", *OURS)["items"]
        return found if len(found) == len(OWNERS) else []

    made = {}
    for pod in wait_for(all_made):
        (owner,) = pod["metadata"]["ownerReferences"]
        name = owner["name"].replace("dump-now", "openmofi-backup")
        template = next(one for one in OWNERS if name.startswith(one.partition("/")[2]))
        assert owner["kind"] == OWNERS[template]
        made[template] = pod
    yield made
    plane.kubectl(*words, "delete", "-k", str(folder / "k8s" / "mine"), "--wait=false")


def not_made(plane: ControlPlane, namespace: str) -> list[str]:
    """What controllers say of pods, or anything else, that they could not make."""
    found = plane.get("-n", namespace, "events", "--field-selector=reason=FailedCreate")["items"]
    # A new quota is counted up in its first moments, and controllers ask again.
    told = [event["message"] for event in found]
    return [message for message in told if "status unknown for quota" not in message]


def test_the_pod_of_every_template_is_made(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    assert set(pods) == set(OWNERS) == set(TEMPLATES)
    assert not_made(plane, namespace) == []
    assert {pod["status"]["phase"] for pod in pods.values()} == {"Pending"}  # there is no node


@pytest.mark.parametrize("owner", OWNERS)
def test_admission_leaves_a_pod_as_it_was_written(pods: dict[str, Object], owner: str) -> None:
    spec = pods[owner]["spec"]
    written = TEMPLATES[owner]["spec"]
    assert spec["securityContext"] == written["securityContext"]
    assert spec["serviceAccountName"] == written["serviceAccountName"]
    # No token of the account, though the account may have one.
    names = {volume["name"] for volume in written.get("volumes", ())}
    names |= {"data"} if owner.startswith("StatefulSet") else set()
    assert {volume["name"] for volume in spec["volumes"]} == names
    for made, ours in zip(containers({"spec": spec}), containers({"spec": written}), strict=True):
        assert made["resources"] == ours["resources"]
        assert made["securityContext"] == ours["securityContext"]
        assert made["imagePullPolicy"] == "IfNotPresent"


def test_volumes_are_claimed(plane: ControlPlane, namespace: str, pods: dict[str, Object]) -> None:
    claims = plane.get("-n", namespace, "pvc")["items"]
    sizes = {c["metadata"]["name"]: c["spec"]["resources"]["requests"]["storage"] for c in claims}
    assert sizes == {"data-openmofi-postgres-0": "10Gi", "data-openmofi-minio-0": "100Gi"}
    for owner in ("postgres", "minio"):
        (volume,) = (v for v in pods[f"StatefulSet/openmofi-{owner}"]["spec"]["volumes"]
                     if v["name"] == "data")  # fmt: skip
        assert volume["persistentVolumeClaim"]["claimName"] in sizes


def test_each_budget_holds_its_one_pod(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    def counted() -> dict[str, int]:
        found = plane.get("-n", namespace, "pdb")["items"]
        expected = {b["metadata"]["name"]: b["status"].get("expectedPods", 0) for b in found}
        return expected if all(expected.values()) else {}

    assert wait_for(counted) == {"openmofi-postgres": 1, "openmofi-minio": 1}


def test_the_quota_counts_what_pods_ask_for(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    def used() -> dict[str, str]:
        found = plane.get("-n", namespace, "resourcequota", "openmofi")["status"]
        return dict(found["used"]) if found["used"]["pods"] == str(len(pods)) else {}

    # A pod's containers come one after the other: the largest counts, as in test_hardening.py.
    asked = [max(milli(c["resources"]["requests"]["cpu"]) for c in containers(pod))
             for pod in pods.values()]  # fmt: skip
    found = wait_for(used)
    assert milli(found["requests.cpu"]) == sum(asked)
    assert found["persistentvolumeclaims"] == "2"
    assert found["requests.storage"] == "110Gi"


def milli(cpus: str) -> int:
    return int(cpus[:-1]) if cpus.endswith("m") else 1000 * int(cpus)


def of_a_run(**changes: Any) -> Object:
    """A pod that passes: MLflow's, by another name; ``changes`` are merged into its container."""
    spec = copy.deepcopy(TEMPLATES["Deployment/openmofi-mlflow"]["spec"])
    spec["containers"][0] |= changes
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}


def admitted(plane: ControlPlane, namespace: str, pod: Object) -> tuple[Object, str]:
    """The pod as it would be made, or why it is not."""
    words = ("kubectl", "-n", namespace, "create", "-f", "-", "--dry-run=server", "-o", "json")
    done = plane.run(*words, given=json.dumps(pod))
    return (json.loads(done.stdout), "") if done.returncode == 0 else ({}, done.stderr)


def test_a_node_of_a_training_job_is_admitted(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"}, "spec": NODE["spec"]}
    made, why = admitted(plane, namespace, pod)
    assert why == ""
    assert made["spec"]["containers"][0]["resources"] == NODE["spec"]["containers"][0]["resources"]
    assert "openmofi/pool" in {one.get("key") for one in made["spec"]["tolerations"]}


def _container(pod: Object) -> Object:
    return pod["spec"]["containers"][0]["securityContext"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda pod: _container(pod).update(privileged=True, allowPrivilegeEscalation=True),
         "privileged"),
        (lambda pod: _container(pod).pop("allowPrivilegeEscalation"), "allowPrivilegeEscalation"),
        (lambda pod: _container(pod).pop("capabilities"), "unrestricted capabilities"),
        (lambda pod: pod["spec"]["securityContext"].pop("runAsNonRoot"), "runAsNonRoot != true"),
        (lambda pod: pod["spec"]["securityContext"].update(runAsUser=0), "runAsUser=0"),
        (lambda pod: pod["spec"]["securityContext"].pop("seccompProfile"), "seccompProfile"),
        (lambda pod: pod["spec"].update(hostNetwork=True), "host namespaces"),
        (lambda pod: pod["spec"]["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
         "restricted volume types"),
    ],
)  # fmt: skip
def test_a_pod_that_is_less_bound_is_refused(
    plane: ControlPlane,
    namespace: str,
    pods: dict[str, Object],
    break_it: Callable[[Object], object],
    said: str,
) -> None:
    pod = of_a_run()
    assert admitted(plane, namespace, pod)[1] == ""
    break_it(pod)
    why = admitted(plane, namespace, pod)[1]
    assert 'violates PodSecurity "restricted:v1.32"' in why
    assert said in why


@pytest.mark.parametrize(
    "more",
    [
        {"requests": {"cpu": "32"}, "limits": {"cpu": "32"}},
        {"requests": {"memory": "128Gi"}, "limits": {"memory": "128Gi"}},
        {"requests": {"nvidia.com/gpu": "17"}, "limits": {"nvidia.com/gpu": "17"}},
    ],
)
def test_a_pod_beyond_the_quota_is_refused(
    plane: ControlPlane, namespace: str, pods: dict[str, Object], more: Object
) -> None:
    why = admitted(plane, namespace, of_a_run(resources=more))[1]
    assert "exceeded quota: openmofi" in why
    assert next(iter(more["requests"])) in why


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({}, {"requests": {"cpu": "50m", "memory": "128Mi"},
              "limits": {"cpu": "500m", "memory": "512Mi"}}),
        # Argo's executor: half of it, in KFP 2.17.
        ({"requests": {"cpu": "10m", "memory": "32Mi"}},
         {"requests": {"cpu": "10m", "memory": "32Mi"},
          "limits": {"cpu": "500m", "memory": "512Mi"}}),
        ({"limits": {"cpu": "2"}}, {"requests": {"cpu": "2", "memory": "128Mi"},
                                    "limits": {"cpu": "2", "memory": "512Mi"}}),
    ],
)  # fmt: skip
def test_what_a_container_does_not_say_is_filled_in(
    plane: ControlPlane, namespace: str, pods: dict[str, Object], given: Object, filled: Object
) -> None:
    made, why = admitted(plane, namespace, of_a_run(resources=given))
    assert why == ""
    assert made["spec"]["containers"][0]["resources"] == filled


def test_who_asks_for_more_than_the_default_limit_must_name_one(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    asked = {"requests": {"cpu": "2"}}
    why = admitted(plane, namespace, of_a_run(resources=asked))[1]
    assert "must be less than or equal to cpu limit of 500m" in why
    assert not admitted(plane, namespace, of_a_run(resources={**asked, "limits": {"cpu": "2"}}))[1]


def test_a_port_to_the_outside_is_refused(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    service = named(render("local"), "Service", "openmofi-mlflow")
    service["metadata"]["name"] = "outside"
    for kind in ("LoadBalancer", "NodePort"):
        service["spec"]["type"] = kind
        assert "exceeded quota" in admitted(plane, namespace, service)[1]


def test_a_deployment_whose_pod_is_refused_is_told_of(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    """The events that the first test finds none of; and the warning that `apply` would print."""
    wrong = named(render("local"), "Deployment", "openmofi-mlflow")
    wrong["metadata"]["name"] = "wrong"
    del wrong["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    done = plane.run("kubectl", "-n", namespace, "create", "-f", "-", given=json.dumps(wrong))
    assert "Warning: would violate PodSecurity" in done.stderr
    told = wait_for(lambda: not_made(plane, namespace))
    assert all("violates PodSecurity" in one for one in told)
    plane.kubectl("-n", namespace, "delete", "deployment", "wrong")
    plane.kubectl("-n", namespace, "delete", "events", "--all")


def test_the_label_warns_of_pods_that_would_not_pass(
    plane: ControlPlane, namespace: str, pods: dict[str, Object]
) -> None:
    """k8s/README.md: "add --dry-run=server and read the warnings first"."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    words = ("kubectl", "label", "--overwrite", "--dry-run=server", "namespace")
    version = "pod-security.kubernetes.io/enforce-version=v1.31"
    assert plane.run(*words, namespace, label, version).stderr == ""
    plane.kubectl("create", "namespace", "unbound")
    pod = of_a_run()
    del pod["spec"]["securityContext"]["runAsNonRoot"], pod["spec"]["serviceAccountName"]
    plane.kubectl("-n", "unbound", "wait", "--for=create", "sa/default", "--timeout=60s")
    plane.kubectl("-n", "unbound", "create", "-f", "-", given=json.dumps(pod))
    told = plane.run(*words, "unbound", label)
    assert "Warning: existing pods in namespace" in told.stderr
    assert "one" in told.stderr
    plane.kubectl("delete", "namespace", "unbound", "--wait=false")
