"""A namespace of runs on a real API server: k8s/overlays/gpu without its servers and jobs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.applied import restricted_namespace
from support.control_plane import ControlPlane
from support.manifests import of_kind, render
from support.waiting import wait_for

Object = dict[str, Any]
_KINDS = ("ServiceAccount", "Role", "RoleBinding", "ResourceQuota", "LimitRange")
BEGUN = "2026-11-29T00:00:00Z"  # when played containers began


@contextmanager
def run_namespace(plane: ControlPlane) -> Iterator[str]:
    """Its name, while it is there: Pod Security, accounts, roles, quota, limits."""
    with restricted_namespace(plane) as name:
        create(plane, name, *of_kind(render("gpu"), *_KINDS))
        wait_for(lambda: "hard" in plane.get("-n", name, "quota", "openmofi")["status"])
        try:
            yield name
        finally:
            clear(plane, name)


def create(plane: ControlPlane, namespace: str, *objects: Object) -> None:
    """Make objects; any refusal fails the test in the server's words."""
    given = json.dumps({"kind": "List", "apiVersion": "v1", "items": list(objects)})
    plane.kubectl("-n", namespace, "create", "-f", "-", given=given)


def clear(plane: ControlPlane, namespace: str) -> None:
    """Take all pods away at once: no kubelet would say that they have ended."""
    words = ("delete", "pods", "--all", "--force", "--grace-period=0")
    plane.kubectl("-n", namespace, *words, "--wait=false")


def set_status(plane: ControlPlane, namespace: str, kind: str, name: str, status: Object) -> None:
    """What a kubelet or a controller would write."""
    patch = json.dumps({"status": status})
    words = ("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)
    plane.kubectl("-n", namespace, *words)


def end_container(
    plane: ControlPlane, namespace: str, pod: str, code: int, reason: str, at: str
) -> None:
    """What the kubelet of a node of a training job writes when its container has ended."""
    ended = {"exitCode": code, "reason": reason, "startedAt": BEGUN, "finishedAt": at}
    container = {
        "name": "node", "state": {"terminated": ended}, "image": "i", "imageID": "i",
        "ready": False, "restartCount": 0,
    }  # fmt: skip
    phase = "Failed" if code else "Succeeded"
    set_status(plane, namespace, "pod", pod, {"phase": phase, "containerStatuses": [container]})
