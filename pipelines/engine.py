"""The container engine: found, and asked for the images, before a run starts."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from openmofi.errors import InputError
from pipelines.checkout import git_commit

_REVISION = "org.opencontainers.image.revision"
_DEFAULT_HOST = "unix:///var/run/docker.sock"
_PODMAN = "unix:///run/podman/podman.sock"


@dataclass(frozen=True)
class Engine:
    """What a run needs to know of the engine.

    Args:
        images: Id of each image that the graph names. A run holds to it when a tag moves.
        rootless: It runs without root, so that 0 in a container is whoever has started it.
        warnings: One line for each image of another commit than the checkout's.
    """

    images: dict[str, str]
    rootless: bool
    warnings: tuple[str, ...]


def connect() -> Any:
    """A client of the engine at ``DOCKER_HOST``, as kfp makes one.

    Raises:
        InputError: The SDK is not installed, or no engine answers.
    """
    try:
        import docker
    except ImportError:
        raise InputError("--runner docker needs the Python package 'docker'") from None
    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError) as error:  # requests' errors are OSErrors
        host = os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
        raise InputError(
            f"no container engine answers at {host} ({_reason(error)}); start Docker, or "
            f"`podman system service --time=0 {_PODMAN}` with DOCKER_HOST={_PODMAN}"
        ) from None
    return client


def _reason(error: BaseException) -> str:
    text = str(error)
    for known in ("Permission denied", "No such file or directory", "Connection refused"):
        if known in text:
            return known.lower()
    return text.splitlines()[0] if text else type(error).__name__


def images_of(spec: Any) -> list[str]:
    """Images that a graph's steps run in."""
    executors = dict(spec.deployment_spec)["executors"]
    return sorted({executors[name]["container"]["image"] for name in executors})


def check_engine(images: Iterable[str], client: Any = None) -> Engine:
    """Find the engine and the images. Nothing is pulled.

    Args:
        images: Their names.
        client: Of the docker SDK; by default the one that `connect` makes.

    Raises:
        InputError: The engine or an image is not there, in one line with the fix.
    """
    client = client or connect()
    from docker import errors

    found, commit = {}, git_commit()
    warnings = []
    for name in images:
        try:
            image = client.images.get(name)
        except errors.ImageNotFound:
            raise InputError(
                f"image {name} is not there: build it (make images), or name yours in "
                "OPENMOFI_CURATION_IMAGE and OPENMOFI_TRAINING_IMAGE"
            ) from None
        found[name] = image.id
        warnings += _other_commit(name, (image.labels or {}).get(_REVISION, ""), commit)
    options = client.info().get("SecurityOptions") or []
    return Engine(found, any("rootless" in option for option in options), tuple(warnings))


def _other_commit(image: str, revision: str, commit: str) -> list[str]:
    if not commit or revision == commit:
        return []
    of = f"of commit {revision}" if revision else "of a commit that it does not name"
    return [f"image {image} is {of}, this checkout of {commit}: steps run what the image holds"]
