"""A namespace of runs on a real API server: k8s/overlays/gpu without its servers and jobs."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support.applied import restricted_namespace
from support.control_plane import ControlPlane
from support.manifests import of_kind, render

Object = dict[str, Any]
_KINDS = ("ServiceAccount", "Role", "RoleBinding", "ResourceQuota", "LimitRange")


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


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What the condition gives, once it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)
    return found
