"""Scope: k8s/: what an API server lets each account do, by its own authorizer (RBAC).

It is what is called with the account, by support/rights.py, and nothing else.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.applied import checkout, restricted_namespace, run
from support.control_plane import ControlPlane, lacking
from support.manifests import K8S, Object, of_kind, render
from support.rights import Right, needed_by_runs, needed_by_submitter
from support.run_namespaces import set_status
from support.runbooks import blocks

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
REVIEW = "authorization.k8s.io/v1"
MULTI_NODE = K8S.parent / "docs" / "multi-node.md"
QUIET: set[Right] = set()
NEEDED = {
    ("local", "openmofi-pipeline"): needed_by_runs("local"),
    ("gpu", "openmofi-pipeline"): needed_by_runs("gpu"),
    ("local", "openmofi-submitter"): needed_by_submitter(),
    ("gpu", "openmofi-submitter"): needed_by_submitter(),
    ("local", "openmofi-mlflow"): QUIET,
    ("gpu", "openmofi-services"): QUIET,
    ("gpu", "default"): QUIET,
}
# group, resource, name, verb: what one account of ours or another could be thought to have.
REFUSED: dict[str, list[Right]] = {
    "openmofi-pipeline": [
        ("", "secrets", "", "list"),
        ("", "secrets", "openmofi-postgres", "get"),
        ("", "configmaps", "openmofi-settings", "get"),
        ("", "configmaps", "kfp-launcher", "update"),
        ("", "pods", "", "create"),
        ("", "pods", "", "delete"),
        ("", "pods/exec", "", "create"),
        ("", "serviceaccounts/token", "openmofi-submitter", "create"),
        ("argoproj.io", "workflows", "", "create"),
        ("argoproj.io", "workflowtaskresults", "", "delete"),
        ("trainer.kubeflow.org", "trainjobs", "", "list"),
        ("trainer.kubeflow.org", "trainjobs", "", "update"),
        ("trainer.kubeflow.org", "trainjobs/status", "", "update"),
        ("rbac.authorization.k8s.io", "rolebindings", "", "create"),
    ],
    "openmofi-submitter": [
        ("", "secrets", "", "list"),
        ("", "pods", "", "delete"),
        ("", "pods/exec", "", "create"),
        ("", "pods/portforward", "", "create"),
        ("pipelines.kubeflow.org", "pipelines", "", "delete"),
        ("pipelines.kubeflow.org", "runs", "", "delete"),
        ("pipelines.kubeflow.org", "experiments", "", "delete"),
        ("trainer.kubeflow.org", "trainjobs", "", "create"),
    ],
    "openmofi-mlflow": [("", "pods", "", "get"), ("", "secrets", "openmofi-mlflow", "get")],
}


@pytest.fixture(scope="module")
def namespaces(plane: ControlPlane) -> Iterator[dict[str, str]]:
    """The accounts and roles of two overlays, each in its namespace."""
    with restricted_namespace(plane) as local, restricted_namespace(plane) as gpu:
        found = {"local": local, "gpu": gpu}
        for overlay, name in found.items():
            made = of_kind(render(overlay), "ServiceAccount", "Role", "RoleBinding")
            plane.kubectl("-n", name, "create", "-f", "-", given=as_list(made))
        yield found


def as_list(objects: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def reviewed(plane: ControlPlane, namespace: str, account: str) -> set[Right]:
    """All rights of an account on objects, by a SelfSubjectRulesReview of its own."""
    asked = {
        "apiVersion": REVIEW,
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    who = f"system:serviceaccount:{namespace}:{account}"
    words = ("create", "--validate=false", "-f", "-", "-o", "json", "--as", who)
    answer = plane.kubectl(*words, given=json.dumps(asked))
    status = json.loads(answer)["status"]
    assert status["incomplete"] is False
    return {
        (group, resource, name, verb)
        for rule in status["resourceRules"]
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(("overlay", "account"), NEEDED)
def test_an_account_may_what_is_called_with_it_and_nothing_else(
    plane: ControlPlane, namespaces: dict[str, str], overlay: str, account: str
) -> None:
    # To ask who one is, and what one may, is everybody's.
    everybodys = reviewed(plane, namespaces["local"], "nobody")
    assert {group for group, *_ in everybodys} == {"authentication.k8s.io", "authorization.k8s.io"}
    found = reviewed(plane, namespaces[overlay], account)
    assert found - everybodys == NEEDED[overlay, account]


def allowed(
    plane: ControlPlane, account: str, of: str, rights: list[Right], where: str
) -> dict[Right, bool]:
    """What the authorizer says to rights of an account of the namespace ``of``."""
    asked = [
        {
            "apiVersion": REVIEW,
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{of}:{account}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{of}"],
                "resourceAttributes": {
                    "namespace": where, "group": group, "verb": verb, "name": name,
                    "resource": resource.partition("/")[0],
                    "subresource": resource.partition("/")[2],
                },
            },
        }
        for group, resource, name, verb in rights
    ]  # fmt: skip
    shown = 'jsonpath={.status.allowed}{"\\n"}'
    answers = plane.kubectl("create", "-f", "-", "-o", shown, given=as_list(asked)).split()
    return {right: answer == "true" for right, answer in zip(rights, answers, strict=True)}


@pytest.mark.parametrize("account", REFUSED)
def test_what_an_account_must_not_do_is_refused(
    plane: ControlPlane, namespaces: dict[str, str], account: str
) -> None:
    here = namespaces["gpu"]
    answers = allowed(plane, account, here, REFUSED[account], here)
    assert {right for right, may in answers.items() if may} == set()


@pytest.mark.parametrize("account", ["openmofi-pipeline", "openmofi-submitter"])
def test_rights_end_with_the_namespace(
    plane: ControlPlane, namespaces: dict[str, str], account: str
) -> None:
    needed = sorted(NEEDED["gpu", account])
    here, there = namespaces["gpu"], namespaces["local"]
    assert set(allowed(plane, account, here, needed, here).values()) == {True}
    assert set(allowed(plane, account, here, needed, there).values()) == {False}


def kubeconfig(plane: ControlPlane, folder: Path, token: str) -> dict[str, str]:
    """An environment in which kubectl has this token and no other."""
    config: Any = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    folder.mkdir(exist_ok=True)
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return {"KUBECONFIG": str(folder / "kubeconfig")}


@pytest.fixture
def submitter(plane: ControlPlane, namespaces: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The account of CI, by a token as k8s/README.md gets it for kubectl; a pod to look at."""
    here = namespaces["local"]
    pod = {
        "metadata": {"name": "step"},
        "spec": restricted_pod(),
        "kind": "Pod",
        "apiVersion": "v1",
    }
    plane.kubectl("-n", here, "apply", "-f", "-", given=json.dumps(pod))
    set_status(plane, here, "pod", "step", {"phase": "Running"})
    token = plane.kubectl("-n", here, "create", "token", "openmofi-submitter").strip()
    return kubeconfig(plane, tmp_path, token)


def restricted_pod() -> Object:
    (deployment,) = of_kind(render("local"), "Deployment")
    spec: Object = deployment["spec"]["template"]["spec"]
    return {**spec, "serviceAccountName": "openmofi-services"}


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("get pods", ""),
        ("get pods -o json -l workflows.argoproj.io/workflow=x", ""),
        ("logs step", ""),
        ("delete pod step", 'cannot delete resource "pods"'),
        ("exec step -- true", 'cannot create resource "pods/exec"'),
        ("get secrets", 'cannot list resource "secrets"'),
        ("port-forward pod/step 5000", 'cannot create resource "pods/portforward"'),
        ("get pods --watch --request-timeout=5s", 'cannot watch resource "pods"'),
    ],
)
def test_the_submitters_token_reads_pods_and_logs_only(
    plane: ControlPlane, namespaces: dict[str, str], submitter: dict[str, str], tmp_path: Path,
    line: str, refused: str,
) -> None:  # fmt: skip
    done = run(plane, f"kubectl -n {namespaces['local']} {line}", tmp_path, **submitter)
    if refused:
        assert done.returncode == 1
        assert refused in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_the_token_for_kfp_is_of_no_use_to_kubernetes(
    plane: ControlPlane, namespaces: dict[str, str], tmp_path: Path
) -> None:
    """The README's line, as it stands."""
    found = re.search(r"^export OPENMOFI_KFP_TOKEN=.*$", (K8S / "README.md").read_text(), re.M)
    assert found
    here = namespaces["local"]
    printed = run(plane, f"{found[0]}; echo $OPENMOFI_KFP_TOKEN", tmp_path, NAMESPACE=here)
    token = printed.stdout.strip()
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
             "spec": {"token": token, "audiences": ["pipelines.kubeflow.org"]}}  # fmt: skip
    status = json.loads(plane.kubectl("create", "-f", "-", "-o", "json", given=json.dumps(asked)))
    user = status["status"]["user"]["username"]
    assert user == f"system:serviceaccount:{here}:openmofi-submitter"
    done = run(plane, f"kubectl -n {here} get pods", tmp_path, **kubeconfig(plane, tmp_path, token))
    assert done.returncode == 1
    assert "Unauthorized" in done.stderr or "must be logged in" in done.stderr


def test_lines_before_the_first_training_on_several_nodes_say_what_they_should(
    plane: ControlPlane, tmp_path: Path
) -> None:
    (block,) = (one for one in blocks(MULTI_NODE) if "auth can-i" in one.code)
    with restricted_namespace(plane) as here:
        folder = checkout(tmp_path / "work", over="external-s3")
        before = run(plane, block.code, folder, NAMESPACE=here)
        assert before.returncode != 0
        assert '"openmofi-torch" not found' in before.stderr
        plane.kubectl("-n", here, "apply", "-k", str(folder / "k8s" / "overlays" / "gpu"))
        after = run(plane, block.code, folder, NAMESPACE=here)
        assert (after.returncode, after.stderr) == (0, "")
        assert after.stdout.splitlines()[-1] == "yes"
        plane.kubectl("-n", here, "delete", "-k", str(folder / "k8s" / "overlays" / "gpu"))
