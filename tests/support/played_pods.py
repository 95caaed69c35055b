"""Pods that nobody runs, said to run: as much of a kubelet as kubectl's commands wait for."""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from support.control_plane import ControlPlane

_LOOK_S = 0.3


@contextlib.contextmanager
def played_pods(plane: ControlPlane) -> Iterator[None]:
    """Pods that have a node are ready at once, those of jobs are done; who is to go goes."""
    ended = threading.Event()
    failures: list[BaseException] = []

    def play() -> None:
        try:
            while not ended.wait(_LOOK_S):
                for pod in plane.get("pods", "-A")["items"]:
                    _play(plane, pod)
        except BaseException as error:  # told below, in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failures, failures


def _play(plane: ControlPlane, pod: dict[str, Any]) -> None:
    """The pod may be gone by now, so no answer is looked at."""
    where = ["-n", pod["metadata"]["namespace"]]
    named = ["pod", pod["metadata"]["name"]]
    if not pod["spec"].get("nodeName"):
        return
    if "deletionTimestamp" in pod["metadata"]:
        plane.run(
            "kubectl", *where, "delete", *named, "--force", "--grace-period=0", "--wait=false"
        )
    elif pod["status"]["phase"] == "Pending":
        owners = {owner["kind"] for owner in pod["metadata"].get("ownerReferences", ())}
        phase = "Succeeded" if "Job" in owners else "Running"
        ready = [{"type": "Ready", "status": "True" if phase == "Running" else "False"}]
        status = json.dumps({"status": {"phase": phase, "conditions": ready}})
        plane.run("kubectl", *where, "patch", *named, "--subresource=status", "-p", status)
