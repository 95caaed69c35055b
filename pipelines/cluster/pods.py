"""A run's pods by kubectl, and their logs: by kubectl while they live, else by the API.

The API lists no pods (2.17): it tells steps by name, and Argo's nodes below them by an id that is
no pod's name. What kubectl finds is exact: the run's label, and Argo's note of the node's name.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipelines.cluster.api import Api
from pipelines.cluster.errors import ClusterError

_RUN_LABEL = "pipeline/runid"
_NODE_NAME = "workflows.argoproj.io/node-name"
# …root.for-loop-1.….ingest-pairs.executor(0): a step's container, in some attempt.
_EXECUTOR = re.compile(r"\.([^.()]+)(?:\([^)]*\))?\.executor(?:\([^)]*\))?$")
_CONTAINER = "main"
_KUBECTL_S = 30


@dataclass(frozen=True)
class Pod:
    """A pod of a step.

    Args:
        name: Its name.
        step: The task that it runs, as KFP calls it.
        state: Its phase; with what holds it up or has ended it, where Kubernetes says.
    """

    name: str
    step: str
    state: str


def list_pods(run_id: str, namespace: str) -> list[Pod]:
    """Pods of a run's steps that still exist, the oldest first.

    Raises:
        ClusterError: kubectl is missing or failed, in its own words.
    """
    if shutil.which("kubectl") is None:
        raise ClusterError("pods are asked for by kubectl, which is not on the PATH")
    command = ["kubectl", "-n", namespace, "get", "pods", "-l", f"{_RUN_LABEL}={run_id}"]
    try:
        asked = subprocess.run(
            [*command, "-o", "json"], capture_output=True, check=False, timeout=_KUBECTL_S
        )
        found = json.loads(asked.stdout) if asked.returncode == 0 else None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"kubectl has not answered in {_KUBECTL_S} s") from None
    except ValueError:
        raise ClusterError("kubectl get pods gave no JSON") from None
    if found is None:
        words = " ".join(asked.stderr.decode(errors="replace").split())[:300]
        raise ClusterError(f"kubectl get pods failed: {words}")
    items = sorted(found["items"], key=lambda item: item["metadata"].get("creationTimestamp") or "")
    return list(_pods(items))


def _pods(items: Sequence[Any]) -> Iterator[Pod]:
    for item in items:
        node = (item["metadata"].get("annotations") or {}).get(_NODE_NAME, "")
        if found := _EXECUTOR.search(node):
            yield Pod(item["metadata"]["name"], found[1], _state(item.get("status") or {}))


def _state(status: Any) -> str:
    """A phase says too little: Pending may be a missing image or a pool without room."""
    notes: list[str] = []
    # Argo's and KFP's own containers come first: an image of theirs may be the missing one.
    kinds = ("initContainerStatuses", "containerStatuses")
    for container in (one for kind in kinds for one in status.get(kind) or []):
        for condition in ("waiting", "terminated"):
            reason = ((container.get("state") or {}).get(condition) or {}).get("reason", "")
            if reason and reason not in (*notes, "Completed", "Error"):
                notes.append(reason)
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            # Then follows that it would not help to end other pods.
            message, _, _ = (condition.get("message") or "not scheduled").partition(". ")
            notes.append(" ".join(message.split())[:300])
    phase = status.get("phase", "unknown")
    reason = status.get("reason", "")
    return f"{phase}: {', '.join(notes)}" if notes else f"{phase}: {reason}" if reason else phase


def stream_log(pod: Pod, namespace: str, *, follow: bool) -> None:
    """Print a pod's log as kubectl gives it, to its end if ``follow``.

    Raises:
        ClusterError: kubectl failed; it has said why.
    """
    command = ["kubectl", "-n", namespace, "logs", pod.name, "-c", _CONTAINER]
    if subprocess.run([*command, *(["-f"] if follow else [])], check=False).returncode:
        raise ClusterError(f"kubectl has no log of pod {pod.name}")


def read_log(api: Api, run_id: str, pod: str) -> str:
    """A pod's log by the API: of the pod, or of the archive that the server is set up with.

    Raises:
        ClusterError: It has none. The server tells so within an answer of 200.
    """
    path = f"/apis/v1alpha1/runs/{quote(run_id, safe='')}/nodes/{quote(pod, safe='')}/log"
    what = f"reading the log of {pod}"
    text = api.text(what, path)
    if (mark := text.rfind('{"error_message"')) >= 0:
        try:
            said = json.loads(text[mark:])["error_message"]
        except (ValueError, KeyError, TypeError):
            return text  # a log that speaks of such a message
        raise ClusterError(f"{what}: {' '.join(str(said).split())[:300]}")
    return text


def follow_log(
    api: Api,
    run_id: str,
    pod: str,
    *,
    shown: int,
    write: Callable[[str], None],
    ended: Callable[[], bool],
    poll_s: float,
) -> None:
    """Write what a log gains until the run has ended. The API gives a log as it is, no stream.

    Args:
        api: The API.
        run_id: The run.
        pod: The pod.
        shown: How many letters of it have been written before.
        write: Gets each new part.
        ended: Whether the run has.
        poll_s: Seconds between looks.
    """
    while True:
        last = ended()
        text = read_log(api, run_id, pod)
        if len(text) > shown:
            write(text[shown:])
            shown = len(text)
        if last:
            return
        api.sleep(poll_s)


def where_logs_lie(namespace: str) -> str:
    """What remains when pods are gone: Argo's archive in the bucket of Kubeflow Pipelines."""
    place = namespace or "NAMESPACE"
    return (
        "its pods are gone (Argo deletes them with the workflow); Kubeflow Pipelines' own bucket "
        f"keeps main.log under private-artifacts/{place}/WORKFLOW/YEAR/MONTH/DAY/POD/, if Argo's "
        "archiveLogs is on"
    )
