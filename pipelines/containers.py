"""Steps as containers: what stands in for kfp.local's function that starts them.

kfp's own compares names with the engine's list of images and pulls what it does not find there by
that very name, waits without telling a container to end, and calls a container that it has lost
track of successful.
"""

import codecs
import contextlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from kfp import local

from pipelines.confinement import Confinement
from pipelines.reaper import RUN_LABEL, reaped
from pipelines.step_user import StepUser, make_for
from pipelines.steps import Step, Steps

# KFP's command is a shell that starts Python. As a container's first process the shell would let
# SIGTERM pass unheard, and behind another one it would die of it and take Python along, which may
# be saving. So this one passes SIGTERM on to all, and stays until the last of them has ended.
_FIRST_PROCESS = """
trap 'told=1; kill -TERM -1' TERM
"$@" &
child=$!
exec 2>/dev/null
wait "$child"; code=$?
while kill -0 "$child"; do wait "$child"; code=$?; done
while [ -n "$told" ] && kill -0 -1; do sleep 0.1; done
exit "$code"
"""
_LOST = 125  # docker's own code for a failure of the engine
_STEP_LABEL = "openmofi.step"


class Containers:
    """Runs each step in a container of its image."""

    def __init__(
        self, confinement: Confinement, user: StepUser, images: Mapping[str, str] | None = None
    ) -> None:
        self._confinement = confinement
        self._user = user
        self._images = images or {}
        self._run = uuid.uuid4().hex[:12]

    def prepare(self, folder: Path) -> None:
        """Make, for the steps' user, what they write to."""
        written = [path for path, writable in self._confinement.folders.items() if writable]
        for path in (*written, self._confinement.home, folder / "kfp"):
            make_for(self._user, path)

    def kfp_runner(self) -> Any:
        """What kfp.local is told to use."""
        user = f"{self._user.uid}:{self._user.gid}"
        return local.DockerRunner(**self._confinement.options(user, self._user.groups))

    @contextlib.contextmanager
    def serving(self, steps: Steps) -> Iterator[None]:
        """Let ``steps`` start the containers, and leave none behind, however this process ends."""
        from kfp.local import docker_task_handler

        def run(
            client: Any, image: str, command: list[str], volumes: dict[str, Any], **options: Any
        ) -> int:
            def start(step: Step) -> int:
                return self._start(client, image, command, volumes, options, step, steps)

            return steps.run(command, start)

        original = docker_task_handler.run_docker_container
        docker_task_handler.run_docker_container = run
        try:
            with reaped(self._run):
                yield
        finally:
            docker_task_handler.run_docker_container = original

    def _start(
        self,
        client: Any,
        image: str,
        command: list[str],
        volumes: Mapping[str, Any],
        options: Mapping[str, Any],
        step: Step,
        steps: Steps,
    ) -> int:
        identity = self._images.get(image, image)
        ours = {**step.environment, "OPENMOFI_IMAGE": f"{image} {identity}"}
        given = {
            **options,
            # kfp adds the pipeline root, with a letter behind its mode where SELinux wants one.
            "volumes": {**self._confinement.volumes(_suffix(volumes)), **volumes},
            "environment": {**options.get("environment", {}), **ours},
            "labels": {RUN_LABEL: self._run, _STEP_LABEL: step.label},
            "name": f"openmofi-{self._run}-{re.sub(r'[^a-zA-Z0-9]+', '-', step.label).strip('-')}",
            # As in a pod, KFP's command comes in place of the image's entry point.
            "entrypoint": ["sh", "-c", _FIRST_PROCESS, "step"],
        }
        with open(steps.folder / f"{step.label}.log", "w", encoding="utf-8") as log:
            try:
                return _follow(client, identity, command, given, step, steps, log)
            except Exception as error:  # whatever the SDK raises when its engine goes away
                if not _of_the_engine(error):
                    raise
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                steps.show(log, step.label, f"the container engine failed: {reason}")
                return _LOST


def _suffix(volumes: Mapping[str, Any]) -> str:
    modes = [volume["mode"] for volume in volumes.values()]
    return str(modes[0]).removeprefix("rw") if modes else ""


def _of_the_engine(error: Exception) -> bool:
    from docker.errors import DockerException
    from urllib3.exceptions import HTTPError

    return isinstance(error, (DockerException, HTTPError, OSError))  # requests' are OSErrors


@dataclass(eq=False)
class _Container:
    """A step's container. Asked to end by a client of its own: the step's own is reading."""

    identity: str
    told: bool = field(default=False)

    def terminate(self) -> None:
        self.told = True
        self._send("SIGTERM")

    def kill(self) -> None:
        self._send("SIGKILL")

    def _send(self, signal: str) -> None:
        import docker

        # It may have ended, or not have begun: `_follow` looks at `told` then.
        with contextlib.suppress(docker.errors.DockerException, OSError):
            client = docker.from_env()
            try:
                client.api.kill(self.identity, signal)
            finally:
                client.close()


def _follow(
    client: Any,
    image: str,
    command: list[str],
    given: Mapping[str, Any],
    step: Step,
    steps: Steps,
    log: TextIO,
) -> int:
    """Stdout, where KFP's executor logs, goes to a file; stderr to the file and the screen."""
    container = client.containers.create(image, command, **given)
    one = _Container(container.id)
    try:
        with steps.running(one):
            if one.told:
                return _LOST
            # Before the start, so that nothing is missed.
            said = container.attach(stdout=True, stderr=True, stream=True, demux=True)
            container.start()
            if one.told:
                one.terminate()
            plain = Lines(lambda line: _write(log, line))
            shown = Lines(lambda line: steps.show(log, step.label, line))
            for out, error in said:
                plain.add(out or b"")
                shown.add(error or b"")
            plain.close()
            shown.close()
            return int(container.wait()["StatusCode"])
    finally:
        with contextlib.suppress(Exception):  # the reaper comes after
            container.remove(force=True)


def _write(log: TextIO, line: str) -> None:
    log.write(line)
    log.flush()


class Lines:
    """Lines out of pieces that end anywhere, in the midst of a letter too."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def add(self, piece: bytes) -> None:
        """Hand on every line that is complete; a carriage return ends one too, as in a bar."""
        text = self._rest + self._decoder.decode(piece).replace("\r", "\n")
        *lines, self._rest = text.split("\n")
        for line in lines:
            self._take(line + "\n")

    def close(self) -> None:
        """Hand on what has no end."""
        if self._rest:
            self._take(self._rest + "\n")
