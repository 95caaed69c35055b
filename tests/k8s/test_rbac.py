"""Scope: k8s/: what the accounts may is what is called with them: no verb missing or too many."""

from pathlib import Path

import pytest

from support.manifests import K8S, OVERLAYS, Object, named, of_kind, render
from support.rights import (
    GENERATED,
    Right,
    calls_of_pipelines,
    kubectl_verbs,
    needed_by_runs,
    needed_by_submitter,
    rights,
    words,
)

REPOSITORY = K8S.parent


def granted(objects: list[Object], account: str) -> set[Right]:
    """All that an account may, by every role that is bound to it."""
    found: set[Right] = set()
    for binding in of_kind(objects, "RoleBinding"):
        if {"kind": "ServiceAccount", "name": account} in binding["subjects"]:
            found |= rights(named(objects, "Role", binding["roleRef"]["name"]))
    return found


def test_the_submitter_may_what_it_calls_and_nothing_else() -> None:
    assert {"run_service_create_run", "upload_pipeline_version"} <= calls_of_pipelines()
    assert granted(render("local"), "openmofi-submitter") == needed_by_submitter()


def test_a_call_is_found_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        'api.read("x", "run_service_get_run")\ny.upload_pipeline(1)\nhow = "retry"\n'
        'f"run_service_{how}_run"\nrun(["kubectl", "-n", here, "logs", pod])\n'
    )
    assert set(words(tmp_path)) & GENERATED == {
        "run_service_get_run", "upload_pipeline", "run_service_retry_run",
    }  # fmt: skip
    assert kubectl_verbs(tmp_path) == {"logs"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_runs_pods_may_what_is_called_in_them_and_nothing_else(overlay: str) -> None:
    assert granted(render(overlay), "openmofi-pipeline") == needed_by_runs(overlay)


def test_pipelines_use_nothing_of_kfp_that_would_ask_for_more() -> None:
    used = set(words(REPOSITORY / "pipelines")) | set(words(REPOSITORY / "components"))
    more = {
        "CreatePVC", "DeletePVC", "add_ephemeral_volume", "WorkspaceConfig",
        "PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER", "PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER",
    }  # fmt: skip
    assert used & more == set()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_other_account_may_anything_and_nobody_all(overlay: str) -> None:
    objects = render(overlay)
    bound = {s["name"] for b in of_kind(objects, "RoleBinding") for s in b["subjects"]}
    assert bound == {"openmofi-pipeline", "openmofi-submitter"}
    assert not [one for one in objects if one["kind"].startswith("ClusterRole")]
    for role in of_kind(objects, "Role"):
        assert not [right for right in rights(role) if "*" in right]
    quiet = {
        one["metadata"]["name"]
        for one in of_kind(objects, "ServiceAccount")
        if one.get("automountServiceAccountToken") is False
    }
    assert quiet == {"openmofi-mlflow", "openmofi-services", "openmofi-submitter"}
