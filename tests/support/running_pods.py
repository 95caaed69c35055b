"""A kubelet that runs the pods of a training job as processes of this machine, and tells their end.

What a container would have of its image, its volumes and the cluster's names is this machine's.
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.run_namespaces import set_status
from support.training_team import Team

_FIELD = re.compile(r"metadata\.(annotations|labels)\['(.+)'\]")
_LOOK_S = 0.3


class RunningPods:
    """Pods that have a node are started once each; those that have ended say with which code.

    Args:
        team: Whose job it is.
        given: Variables in the place of the pods' own, where this machine is no cluster.
    """

    def __init__(self, team: Team, given: Mapping[str, str]) -> None:
        self.team, self.given = team, given
        self.environments: list[dict[str, str]] = []
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._told: set[str] = set()
        self._readers: list[threading.Thread] = []

    def look(self) -> None:
        """What a kubelet does, once."""
        for pod in self.team.pods():
            name = pod["metadata"]["name"]
            if name not in self._processes and pod["spec"].get("nodeName"):
                self._start(name, pod)
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None and name not in self._told:
                self._told.add(name)
                self.team.end(name, abs(code))

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()

    def _start(self, name: str, pod: Mapping[str, Any]) -> None:
        (container,) = pod["spec"]["containers"]
        own = {one["name"]: _value(one, pod) for one in container["env"]}
        self.environments.append({k: v for k, v in own.items() if v is not None})
        environment = {**os.environ, **self.environments[-1], **self.given}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        arguments = [one.replace("$$", "$") for one in container["args"]]
        process = subprocess.Popen(
            [*container["command"], *arguments], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._processes[name] = process
        self._readers.append(threading.Thread(target=self._read, args=(name, process)))
        self._readers[-1].start()
        set_status(self.team.plane, self.team.namespace, "pod", name, {"phase": "Running"})

    def _read(self, name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        for line in process.stdout:
            when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
            self.team.machine.write(name, line.rstrip("\n"), when=when)


def _value(one: Mapping[str, Any], pod: Mapping[str, Any]) -> str | None:
    """What Kubernetes gives a variable; nothing of an optional secret that is not there."""
    if "value" in one:
        return str(one["value"])
    source = one["valueFrom"]
    if "fieldRef" in source:
        found = _FIELD.fullmatch(source["fieldRef"]["fieldPath"])
        assert found
        return str(pod["metadata"][found[1]][found[2]])
    assert source["secretKeyRef"]["optional"]
    return None


@contextlib.contextmanager
def running_pods(team: Team, **given: str) -> Iterator[RunningPods]:
    """At work in a thread while the context is open."""
    pods, ended = RunningPods(team, given), threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not ended.wait(_LOOK_S):
                pods.look()
        except BaseException as error:  # told below, in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield pods
    finally:
        ended.set()
        thread.join()
        pods.close()
    assert not failures, failures
