"""What the containers of a run may reach: folders, network and environment, from its parameters."""

import getpass
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from openmofi.errors import InputError
from openmofi.inputs import is_on_s3
from openmofi.storage_s3 import named_endpoint
from openmofi.tracking.server import given_uri
from openmofi.versions import root_of

# What a file under these names may refer to lies beside it.
_WITH_NEIGHBOURS = frozenset(
    {"source", "labeler_crawl", "evaluation_data", "evaluation_sets", "train_data", "index_data"}
)
_STORE_VARIABLES = ("AWS_", "MINIO_")
# Of this machine, or of the checkout; an image has its own.
_KEPT_OUT = frozenset({"OPENMOFI_CACHE", "OPENMOFI_GIT_COMMIT", "OPENMOFI_IMAGE"})
_AWS_FILE = "AWS_SHARED_CREDENTIALS_FILE"
_SHARED_MEMORY = "2g"  # data loader workers hand over batches in it; 64 MB is the engines' default


@dataclass(frozen=True)
class Confinement:
    """What every container of a run gets.

    Args:
        folders: Files and folders, and whether they may be written. Inside they have the same path.
        network: ``none``, ``host``, ``bridge``, or a network's name.
        environment: Variables, secrets among them: never shown.
        home: A folder for caches, in which steps of later runs find them again.
    """

    folders: Mapping[Path, bool]
    network: str
    environment: Mapping[str, str]
    home: Path

    def volumes(self, suffix: str = "") -> dict[str, dict[str, str]]:
        """As the docker SDK takes them.

        Args:
            suffix: What the engine wants behind the mode, such as ``,z`` with SELinux.
        """
        every = {**self.folders, self.home: True}
        return {
            str(path): {"bind": str(path), "mode": ("rw" if writable else "ro") + suffix}
            for path, writable in every.items()
        }

    def options(self, user: str, groups: Sequence[int]) -> dict[str, Any]:
        """Arguments of kfp's `DockerRunner`.

        Args:
            user: ``uid:gid`` of the steps.
            groups: Further groups.
        """
        here = Path.cwd()
        tmpfs = {"/tmp": "mode=1777"}
        # Relative paths in a config stay right: an empty folder stands where none is mounted.
        if here != Path("/") and not any(here.is_relative_to(path) for path in self.folders):
            tmpfs[str(here)] = "mode=1777"
        return {
            "user": user,
            "group_add": [str(group) for group in groups],
            "read_only": True,
            "tmpfs": tmpfs,
            "shm_size": _SHARED_MEMORY,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "network_mode": self.network,
            "working_dir": str(here),
            "environment": dict(self.environment),
        }

    def lines(self) -> list[str]:
        """For people: what may be reached, and of the environment the names alone."""
        modes = [f"  {path}: {'rw' if w else 'ro'}" for path, w in sorted(self.folders.items())]
        names = ", ".join(sorted(self.environment))
        return [f"containers: network {self.network}, environment {names}", *modes]


def confine(
    arguments: Mapping[str, Any],
    *,
    home: Path,
    mounts: Sequence[Path] = (),
    network: str = "",
) -> Confinement:
    """What the steps of a pipeline need, and no more.

    Args:
        arguments: The pipeline's parameters.
        home: A folder for caches.
        mounts: Further files and folders, to be read.
        network: Overrides what follows from the addresses.

    Raises:
        InputError: A path cannot be mounted under its own name.
    """
    tracked = "model_name" in arguments  # the others do not speak to MLflow
    stored = any(is_on_s3(value) for _, value in _texts(arguments))
    environment = _environment(home, tracked=tracked, stored=stored)
    folders = dict.fromkeys([_checked(path) for path in mounts], False)
    for name, value in _texts(arguments):
        path = _path(name, value)
        if path:
            folders[_checked(path)] = False
    for value in environment.values():
        if value.startswith("/") and Path(value).is_file():
            # The folder, because a token that rotates is replaced by another file.
            folders[_checked(Path(value).parent)] = False
    for path in written(arguments):
        folders[_checked(path)] = True
    return Confinement(folders, network or _network(arguments, tracked), environment, home)


def written(arguments: Mapping[str, Any]) -> list[Path]:
    """Folders that the steps write to: the root's first, and MLflow's where it is a file."""
    given = arguments.get("training_shards") or next(iter(arguments.get("samples", ())), "")
    root = _local(arguments.get("root") or root_of(given))
    database = database_of(arguments)
    return [path for path in (root, database and database.parent) if path]


def database_of(arguments: Mapping[str, Any]) -> Path | None:
    """MLflow's file, of a pipeline that writes to one."""
    return mlflow_database() if "model_name" in arguments else None


def mlflow_database() -> Path | None:
    """MLflow's SQLite file; None where it is a server."""
    parsed = urlparse(given_uri())
    return _absolute(parsed.path.removeprefix("/")) if parsed.scheme == "sqlite" else None


def _environment(home: Path, *, tracked: bool, stored: bool) -> dict[str, str]:
    """Credentials go only where something is asked for them."""
    prefixes = ("OPENMOFI_", *_STORE_VARIABLES * stored, *("MLFLOW_",) * tracked)
    found = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(prefixes) and name not in _KEPT_OUT) or name == "OMP_NUM_THREADS"
    }
    profile = Path.home() / ".aws" / "credentials"
    if stored and profile.is_file():
        found.setdefault(_AWS_FILE, str(profile))
    # A user without an entry in the image's /etc/passwd has no home and no name there.
    ours = {"HOME": str(home), "OPENMOFI_CACHE": str(home), "LOGNAME": getpass.getuser()}
    return {**found, **ours}


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of the parameters, with the key that it stands under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, name)


def _path(name: str, value: str) -> Path | None:
    """What has to be mounted for a parameter, if it names something on this machine."""
    if value.startswith("~"):
        raise InputError(f"'{name}': write {value} in full, containers have another home")
    path = _local(root_of(value) or value)
    if path is None or not os.path.exists(path):  # a text may be too long for a path
        return None
    return path.parent if path.is_file() and name in _WITH_NEIGHBOURS else path


def _local(value: str) -> Path | None:
    text = value.removeprefix("local-dir:")
    if text.startswith("file:"):
        return _absolute(unquote(urlparse(text).path))
    return _absolute(text) if text and "://" not in text and "\0" not in text else None


def _absolute(path: str | Path) -> Path:
    """Without ``..``, and with its links: the name that the steps know it by."""
    return Path(os.path.abspath(path))


def _checked(path: Path) -> Path:
    path = _absolute(path)
    if path == Path("/") or ":" in str(path):
        raise InputError(f"{path} cannot be mounted into a container; use a folder without ':'")
    return path


def _network(arguments: Mapping[str, Any], tracked: bool) -> str:
    """None for folders alone; the host's where something listens on its loopback only."""
    hosts = []
    for name, value in _texts(arguments):
        if is_on_s3(value):
            hosts.append(_host(named_endpoint()))
        elif value.startswith(("http://", "https://", "hf-hub:")) or _is_hub_name(name, value):
            hosts.append(_host(value))
    if tracked and not mlflow_database():
        hosts.append(_host(given_uri()))
    if any(host in ("localhost", "::1") or host.startswith("127.") for host in hosts):
        return "host"
    return "bridge" if hosts else "none"


def _is_hub_name(name: str, value: str) -> bool:
    path = _local(value) if name == "labeler" else None
    return path is not None and not os.path.exists(path)


def _host(address: str) -> str:
    return urlparse(address if "://" in address else f"//{address}").hostname or ""
