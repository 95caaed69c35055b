"""Ends a run's containers when the run has ended, by SIGKILL too: nothing else would then.

``python -m pipelines.reaper RUN`` waits until its input is closed, which happens when the process
that started it is gone.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.steps import GRACE_S

RUN_LABEL = "openmofi.run"


@contextlib.contextmanager
def reaped(run: str) -> Iterator[None]:
    """Remove the containers of a run at the end of the context or of this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.reaper", run],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        start_new_session=True,  # an interrupt at the terminal is not for it
    )
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def remove_containers(client: Any, run: str) -> None:
    """Stop and remove all containers of a run."""
    found = client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={run}"})
    with ThreadPoolExecutor(max_workers=max(1, len(found))) as pool:
        for container in found:
            pool.submit(_remove, container)


def _remove(container: Any) -> None:
    with contextlib.suppress(Exception):  # it may be gone; and one must not keep the others
        container.stop(timeout=int(GRACE_S))
    with contextlib.suppress(Exception):
        container.remove(force=True)


def main(run: str) -> None:
    """Wait for the end of whoever has started this, then remove what is left."""
    sys.stdin.read()
    import docker

    with contextlib.suppress(docker.errors.DockerException, OSError):  # no engine, no containers
        client = docker.from_env(timeout=int(2 * GRACE_S))
        remove_containers(client, run)
        client.close()


if __name__ == "__main__":
    main(sys.argv[1])
