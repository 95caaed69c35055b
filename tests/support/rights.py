"""What each account must be able to do: read out of our code, or written down with where it stands.

What our own code calls is read out of the code. What KFP and Argo call in a run's pods, and what
KFP's API server asks Kubernetes about a call, is written down below.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import kfp_server_api

from openmofi.launch.api import RIGHTS
from support.manifests import K8S, Object

Right = tuple[str, str, str, str]  # API group, resource, name (or empty), verb

# kubeflow/pipelines 2.17.0, below backend/src, and Argo Workflows 4.0.8, which it ships. Not called
# for us: workflows get (v2/cmd/driver/main.go:251, for KFP's placeholder of a schedule's time) and
# persistentvolumeclaims (v2/driver/k8s.go, for KFP's own volumes); a test below looks that
# pipelines use neither.
IN_A_RUNS_POD: dict[Right, str] = {
    ("argoproj.io", "workflowtaskresults", "", "create"): "argo workflow/executor/taskresult.go",
    ("argoproj.io", "workflowtaskresults", "", "patch"): "argo workflow/executor/taskresult.go",
    ("", "pods", "", "get"): "v2/driver/k8s.go:1320, v2/component/launcher_v2.go:607",
    ("", "configmaps", "kfp-launcher", "get"): "v2/config/env.go:73",
    ("", "secrets", "mlpipeline-minio-artifact", "get"): "v2/objectstore/object_store.go:278, 391",
}

# backend/src/apiserver/server: the verb that each call is checked for. Versions are "pipelines" to
# it, recurring runs "jobs". Health and a step's log (run_log_server.go) are not checked at all.
CHECKED: dict[str, tuple[str, str]] = {
    "experiment_service_create_experiment": ("experiments", "create"),
    "experiment_service_get_experiment": ("experiments", "get"),
    "experiment_service_list_experiments": ("experiments", "list"),
    "pipeline_service_create_pipeline": ("pipelines", "create"),
    "pipeline_service_create_pipeline_and_version": ("pipelines", "create"),
    "pipeline_service_create_pipeline_version": ("pipelines", "create"),
    "pipeline_service_get_pipeline": ("pipelines", "get"),
    "pipeline_service_get_pipeline_by_name": ("pipelines", "get"),
    "pipeline_service_get_pipeline_version": ("pipelines", "get"),
    "pipeline_service_get_pipeline_version_by_name": ("pipelines", "get"),
    "pipeline_service_list_pipelines": ("pipelines", "list"),
    "pipeline_service_list_pipeline_versions": ("pipelines", "list"),
    "pipeline_service_update_pipeline": ("pipelines", "update"),
    "pipeline_service_delete_pipeline": ("pipelines", "delete"),
    "pipeline_service_delete_pipeline_version": ("pipelines", "delete"),
    "upload_pipeline": ("pipelines", "create"),
    "upload_pipeline_version": ("pipelines", "create"),
    "run_service_create_run": ("runs", "create"),
    "run_service_get_run": ("runs", "get"),
    "run_service_list_runs": ("runs", "list"),
    "run_service_retry_run": ("runs", "retry"),
    "run_service_terminate_run": ("runs", "terminate"),
    "run_service_archive_run": ("runs", "archive"),
    "run_service_delete_run": ("runs", "delete"),
    "run_service_read_artifact": ("runs", "readArtifact"),
    "recurring_run_service_create_recurring_run": ("jobs", "create"),
    "recurring_run_service_get_recurring_run": ("jobs", "get"),
    "recurring_run_service_list_recurring_runs": ("jobs", "list"),
    "recurring_run_service_delete_recurring_run": ("jobs", "delete"),
    "recurring_run_service_enable_recurring_run": ("jobs", "enable"),
    "recurring_run_service_disable_recurring_run": ("jobs", "disable"),
}
UNCHECKED = {"healthz_service_get_healthz"}
# kubectl looks the pod up before it asks for its log. To forward a port is a right in KFP's own
# namespace: a person's, by their kubeconfig.
OF_KUBECTL: dict[str, set[Right]] = {
    "get": {("", "pods", "", "list")},
    "logs": {("", "pods", "", "get"), ("", "pods/log", "", "get")},
    "port-forward": set(),
}
GENERATED = {
    name
    for kind, service in inspect.getmembers(kfp_server_api, inspect.isclass)
    if kind.endswith("ServiceApi")
    for name, _ in inspect.getmembers(service, inspect.isfunction)
    if not name.startswith("_") and not name.endswith("_with_http_info")
}


def rights(role: Object) -> set[Right]:
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def words(folder: Path) -> Iterator[str]:
    """Every string that stands in the code of a folder, and every attribute that is looked up.

    An f-string with one hole is filled with every other string of its module.
    """
    for path in sorted(folder.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        yield from (node.attr for node in nodes if isinstance(node, ast.Attribute))
        plain = {n.value for n in nodes if isinstance(n, ast.Constant) and type(n.value) is str}
        yield from plain
        for node in nodes:
            if isinstance(node, ast.JoinedStr) and len(node.values) == 3:
                before, _, after = node.values
                if isinstance(before, ast.Constant) and isinstance(after, ast.Constant):
                    yield from (f"{before.value}{one}{after.value}" for one in plain)


def kubectl_verbs(folder: Path) -> set[str]:
    """The verbs that kubectl is started with: the first word behind ``kubectl -n NAMESPACE``."""
    found = set()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            first = getattr(node, "elts", [None])[:1]
            if [getattr(one, "value", None) for one in first] == ["kubectl"]:
                verb = node.elts[3]  # type: ignore[attr-defined]
                assert isinstance(verb, ast.Constant), f"{path}: which verb?"
                found.add(str(verb.value))
    return found


def calls_of_pipelines() -> set[str]:
    """Calls of KFP's API server in pipelines/ that it checks."""
    return set(words(K8S.parent / "pipelines")) & GENERATED - UNCHECKED


def needed_by_submitter() -> set[Right]:
    """What `python -m pipelines` asks for, of KFP and by kubectl."""
    made = {CHECKED[call] for call in calls_of_pipelines()}
    found = {("pipelines.kubeflow.org", resource, "", verb) for resource, verb in made}
    for verb in kubectl_verbs(K8S.parent / "pipelines"):
        found |= OF_KUBECTL[verb]
    return found


def needed_by_runs(overlay: str) -> set[Right]:
    """What is called in a run's pods; with GPUs by a launcher of training jobs, too."""
    found = set(IN_A_RUNS_POD)
    if overlay == "gpu":  # the launcher's calls: tests/unit/launch/test_api.py
        found |= {(group, resource, "", verb) for group, resource, verb in RIGHTS}
    return found
