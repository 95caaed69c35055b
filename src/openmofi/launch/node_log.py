"""What a job's pods say: the first node's log as it grows, and why the first of them failed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from openmofi.launch.api import Kubernetes, KubernetesError
from openmofi.progress import say

Pod = Mapping[str, Any]

_INDEX = "batch.kubernetes.io/job-completion-index"
_LINES_AT_FIRST = "2000"  # of a job that has long been running when it is found
_LAST_LINES = "20"
# A kubelet that has lost a log says so in a line without a time.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_UNFIT = frozenset({"ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"})


class NodeLog:
    """The log of a job's first node, on which the first rank speaks for all.

    It is asked for again and again rather than held open for days. Every line comes with its time,
    so that what was told is not told again: Kubernetes counts from whole seconds.

    Args:
        api: Of the cluster.
        job: The job's name.
    """

    def __init__(self, api: Kubernetes, job: str) -> None:
        self._api = api
        self._job = job
        self._pod = ""
        self._last = ""  # time of the last line that was told
        self._at_last = 0  # how many lines of that time
        self._unread = False

    def tell(self, pods: Sequence[Pod], *, whole: bool) -> None:
        """Say what is new.

        Args:
            pods: The job's.
            whole: The job has ended, and a last line without its end is all there will be of it.
        """
        pod = _first_node(pods)
        if pod is None or pod.get("status", {}).get("phase") == "Pending":
            return
        if pod["metadata"]["uid"] != self._pod:
            self._pod, self._last, self._at_last = pod["metadata"]["uid"], "", 0
        asked = {"sinceTime": _utc(self._last)} if self._last else {"tailLines": _LINES_AT_FIRST}
        for line in self._fresh(self._read(pod["metadata"]["name"], asked), whole):
            say(line)

    def _read(self, pod: str, asked: Mapping[str, str]) -> str:
        """The log, or nothing of it while its machine does not answer; that is said once."""
        try:
            text = self._api.log_of(pod, **asked) or ""
        except KubernetesError as error:
            if not error.passing:
                raise
            if not self._unread:
                say(f"{error}; the job is followed without its log")
            self._unread = True
            return ""
        self._unread = False
        return text

    def _fresh(self, text: str, whole: bool) -> Iterator[str]:
        lines = text.split("\n")
        tail = lines.pop()
        seen = 0
        for line in [*lines, tail] if whole and tail else lines:
            time, _, words = line.partition(" ")
            if not _TIME.match(time) or time < self._last:
                continue
            if time == self._last:
                seen += 1
                if seen <= self._at_last:
                    continue
                self._at_last = seen
            else:
                self._last, self._at_last, seen = time, 1, 1
            yield words


def _utc(time: str) -> str:
    """The whole second of a line's time, which is in the zone of the machine that wrote it."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def describe_pods(pods: Sequence[Pod], nodes: int) -> str:
    """How many nodes run, which of them failed first, and what one of them waits for."""
    phases = [pod.get("status", {}).get("phase", "Pending") for pod in pods]
    told = f"{phases.count('Running') + phases.count('Succeeded')} of {nodes} nodes have started"
    failed = [f"{name} has failed: {why}" for _, name, why in _failures(pods)]
    waits = [reason for pod in pods if (reason := _waits_for(pod))]
    return "; ".join([told, *failed[:1], *waits[:1]])


def describe_remains(pods: Sequence[Pod]) -> str:
    """Which pods of a job that was deleted are still there, or an empty string."""
    told = [f"{pod['metadata']['name']}{_leaves(pod)}" for pod in pods]
    return "; ".join(sorted(told))


def describe_failure(api: Kubernetes, pods: Sequence[Pod]) -> str:
    """The node that failed first, why, and its last lines; the others only missed it."""
    failed = _failures(pods)
    if not failed:
        return "; no pod of it is left that failed"
    _, name, why = failed[0]
    try:
        text = api.log_of(name, tailLines=_LAST_LINES) or ""
    except KubernetesError as error:
        return f"; first {name}: {why}; {error}"
    lines = [line.partition(" ")[2] for line in text.splitlines()]
    return "\n".join([f"; first {name}: {why}; its last lines:", *lines])


def _first_node(pods: Sequence[Pod]) -> Pod | None:
    """The newest pod of the first node."""
    first = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(_INDEX) == "0"]
    return max(first, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), default=None)


def _containers(pod: Pod) -> list[dict[str, Any]]:
    return [one.get("state", {}) for one in pod.get("status", {}).get("containerStatuses") or []]


def _failures(pods: Sequence[Pod]) -> list[tuple[str, str, str]]:
    """When, which and why, the first one first."""
    return sorted((when, pod["metadata"]["name"], why) for pod in pods for when, why in _ends(pod))


def _ends(pod: Pod) -> Iterator[tuple[str, str]]:
    """When and why a pod failed, if it did; without a time it comes last."""
    status = pod.get("status", {})
    for state in _containers(pod):
        end = state.get("terminated")
        if end and end.get("exitCode"):
            reason = f"{end.get('reason', 'Error')}, exit code {end['exitCode']}"
            yield end.get("finishedAt") or "~", reason
            return
    if status.get("phase") == "Failed":  # evicted, say
        yield "~", f"{status.get('reason', 'Failed')}, {status.get('message', '')}".rstrip(", ")


def _waits_for(pod: Pod) -> str:
    """What Kubernetes says of a pod that does not start, or an empty string."""
    name = pod["metadata"]["name"]
    for state in _containers(pod):
        waiting = state.get("waiting", {})
        if waiting.get("reason") in _UNFIT:
            return f"{name}: {waiting['reason']}, {waiting.get('message', '')}".rstrip(", ")
    for one in pod.get("status", {}).get("conditions") or []:
        if one["type"] == "PodScheduled" and one["status"] == "False":
            # What follows the first sentence is that it would not help to end other pods.
            return f"{name}: {one.get('message', 'not scheduled').partition('. ')[0]}"
    return f"{name}{_leaves(pod)}" if _leaves(pod) else ""


def _leaves(pod: Pod) -> str:
    """By when a pod that was told to end must have, and where; past that, its machine is lost."""
    if until := pod["metadata"].get("deletionTimestamp"):
        return f" on {pod.get('spec', {}).get('nodeName', 'no node')} is to end by {until}"
    return ""
