"""A job from its making to its end: made or found, its log told, its end taken."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openmofi.errors import OpenMofiError
from openmofi.launch.api import Kubernetes, KubernetesError
from openmofi.launch.job import RUN_ANNOTATION
from openmofi.launch.node_log import (
    NodeLog,
    describe_failure,
    describe_pods,
    describe_remains,
)
from openmofi.progress import say

_EXIT_TERMINATED = 143  # 128 + SIGTERM, as a shell reports it
# Longer than the nodes' grace period in k8s/gpu/training-runtime.yaml.
_GONE_S = 900.0
# Of the 30 seconds that Kubernetes leaves to a pod that it ends.
_CANCEL_S = 20.0


class TrainJobError(OpenMofiError):
    """The job failed, or was taken away."""


class _ToldToStop(BaseException):
    """SIGTERM. No `Exception`, so that no handler on the way takes it for one."""


@dataclass(frozen=True)
class Following:
    """One job, and how it is watched.

    Args:
        api: Of the cluster.
        wanted: The job's object.
        result: URI of the model if the job has made it, or an empty string.
        poll_s: Seconds between two looks.
    """

    api: Kubernetes
    wanted: Mapping[str, Any]
    result: Callable[[], str]
    poll_s: float = 10.0

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.wanted["metadata"]["name"])

    def run(self) -> str:
        """Make the job or find it, follow it, and give its result.

        A launcher that is lost leaves the job alone: the next one finds it by its name. One that
        is told to stop takes the job away, if its own pipeline run made it; training saves.

        Returns:
            URI of the model.

        Raises:
            TrainJobError: It failed, with the last lines of the node that failed first; or
                somebody took it away.
            KubernetesError: The API server refuses, or is away for too long.
        """
        try:
            with _terminable():
                return self._make_or_find() or self._follow()
        except _ToldToStop:
            with _deaf():
                self._cancel()
            raise SystemExit(_EXIT_TERMINATED) from None

    def _make_or_find(self) -> str:
        """Have a job that runs; or its result, if another launcher has seen one through by now."""
        deadline, waits_for = time.monotonic() + _GONE_S, ""
        while True:
            if uri := self.result():
                return uri
            found = self.api.job(self.name)
            if found and not _ended(found) and not _leaving(found):
                self._tell_found(found)
                return ""
            if found and not _leaving(found):
                say(f"TrainJob {self.name}: an earlier one has ended; made anew")
                self.api.delete_job(self.name, found["metadata"]["uid"])
            elif not found:
                # Two jobs of a recipe must not write at once, and JobSet's objects have the name.
                before, waits_for = waits_for, describe_remains(self.api.pods_of(self.name))
                if not waits_for:
                    if self.api.create_job(self.wanted) is not None:
                        say(f"TrainJob {self.name}: made, {_nodes(self.wanted)} nodes")
                        return ""
                    continue  # by another launcher, just now
                if waits_for != before:
                    say(f"TrainJob {self.name}: waits for an earlier one's end: {waits_for}")
            if time.monotonic() > deadline:
                told = f"TrainJob {self.name}: an earlier one does not go away"
                raise TrainJobError(f"{told}: {waits_for}".rstrip(": "))
            time.sleep(self.poll_s)

    def _tell_found(self, found: Mapping[str, Any]) -> None:
        run = _made_by(found) or "nobody by name"
        say(f"TrainJob {self.name}: found, {_nodes(found)} nodes, made by run {run}; followed")
        if _nodes(found) != _nodes(self.wanted):
            say(f"TrainJob {self.name}: {_nodes(self.wanted)} nodes were asked for; it keeps its")

    def _follow(self) -> str:
        log, before = NodeLog(self.api, self.name), ""
        while True:
            job = self.api.job(self.name)
            pods = self.api.pods_of(self.name) if job else []
            ended = _ended(job) if job else ""
            log.tell(pods, whole=bool(ended))
            if ended:
                return self._end(job or {}, pods, ended)
            if job is None or _leaving(job):
                return self._taken_away()
            now = _describe(job, pods)
            if now != before:
                say(f"TrainJob {self.name}: {now}")
            before = now
            time.sleep(self.poll_s)

    def _end(self, job: Mapping[str, Any], pods: list[dict[str, Any]], ended: str) -> str:
        if ended == "Failed":
            reason = _condition(job, "Failed").get("message", "")
            raise TrainJobError(
                f"TrainJob {self.name} failed: {reason}{describe_failure(self.api, pods)}"
            )
        uri = self.result()
        if not uri:
            raise TrainJobError(
                f"TrainJob {self.name} is complete, but no model lies under its recipe: are the "
                "nodes given another store? (config map openmofi-settings)"
            )
        self.api.delete_job(self.name, job["metadata"]["uid"])
        say(f"TrainJob {self.name}: complete")
        return uri

    def _taken_away(self) -> str:
        if uri := self.result():  # by another launcher, which had its result
            return uri
        raise TrainJobError(
            f"TrainJob {self.name} was deleted by somebody before it ended; training has saved "
            "its state, and a retry of this step goes on from there"
        )

    def _cancel(self) -> None:
        self.api.patience_s = _CANCEL_S
        try:
            job = self.api.job(self.name)
            if job is None:
                say(f"TrainJob {self.name}: told to stop; there is no job")
            elif _made_by(job) != _made_by(self.wanted):
                say(f"TrainJob {self.name}: told to stop; the job is run {_made_by(job)}'s, kept")
            else:
                self.api.delete_job(self.name, job["metadata"]["uid"])
                say(f"TrainJob {self.name}: told to stop; the job is deleted, training saves")
        except KubernetesError as error:
            say(f"TrainJob {self.name}: told to stop, and the job may still run: {error}")


def _ended(job: Mapping[str, Any]) -> str:
    """``Complete``, ``Failed`` or an empty string."""
    return next((kind for kind in ("Complete", "Failed") if _condition(job, kind)), "")


def _condition(job: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The condition if it holds, else nothing."""
    for one in job.get("status", {}).get("conditions") or []:
        if one["type"] == kind and one["status"] == "True":
            return dict(one)
    return {}


def _leaving(job: Mapping[str, Any]) -> bool:
    return bool(job["metadata"].get("deletionTimestamp"))


def _made_by(job: Mapping[str, Any]) -> str:
    return str((job["metadata"].get("annotations") or {}).get(RUN_ANNOTATION, ""))


def _nodes(job: Mapping[str, Any]) -> int:
    return int(job["spec"]["trainer"]["numNodes"])


def _describe(job: Mapping[str, Any], pods: list[dict[str, Any]]) -> str:
    """One state, in words."""
    if held := _condition(job, "Suspended"):
        return f"waits until it is let go: {held.get('message', '')}".rstrip(": ")
    return describe_pods(pods, _nodes(job))


@contextlib.contextmanager
def _handler(action: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminable() -> contextlib.AbstractContextManager[None]:
    def stop(*_: object) -> None:
        raise _ToldToStop

    return _handler(stop)


def _deaf() -> contextlib.AbstractContextManager[None]:
    """Take no second SIGTERM while the job is taken away."""
    return _handler(signal.SIG_IGN)
