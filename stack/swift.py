"""OpenStack Swift with its ``s3api``: a real S3 server for the tests and for the stack.

It checks signatures, knows ranges and multipart uploads, and installs from wheels without root. It
lives in an environment of its own (``.venv-s3``, made by ``make setup``;
``OPENMOFI_SWIFT_PYTHON`` names another interpreter), since its pins are not ours. Data stays in
a folder whose file system must have user xattrs (ext4 and tmpfs do).
"""

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from openmofi.errors import InputError, OpenMofiError
from stack.secret_files import write_secretly

_REPOSITORY = Path(__file__).resolve().parents[1]
_BACKENDS = ("account", "container", "object")
SERVERS = (*_BACKENDS, "proxy")  # in the order of start
# symlink must stand before versioned_writes, and copy and slo after the authentication.
_MIDDLEWARE = (
    "catch_errors", "listing_formats", "bulk", "s3api", "tempauth", "copy", "slo", "symlink",
    "versioned_writes",
)  # fmt: skip
_SETTINGS = """\
[swift-hash]
swift_hash_path_suffix = local
swift_hash_path_prefix = local
[storage-policy:0]
name = default
default = yes
"""
# An object whose listing entry comes too late is in no listing until the updater has run. One
# second is the default, which a busy laptop exceeds; the proxy waits for ten.
_OBJECT_SERVER = "container_update_timeout = 8\n"
# With one disk there is no other server to turn to. By default one refusal for want of space, or
# ten errors, closes it for a minute, to those who read, too.
_PROXY_SERVER = "account_autocreate = true\nerror_suppression_interval = 0\n"
# Below it Swift answers 503 to whoever writes. Its default, 1 % of the disk, is gigabytes that a
# laptop has to spare, or has not.
RESERVE_BYTES = 256 << 20
_START_BYTES = 2 * RESERVE_BYTES  # what is started writes, too


def swift_python() -> Path:
    """The interpreter of the environment that Swift is installed in."""
    named = os.environ.get("OPENMOFI_SWIFT_PYTHON")
    python = Path(named) if named else _REPOSITORY / ".venv-s3" / "bin" / "python"
    if not (python.parent / "swift-proxy-server").is_file():
        raise FileNotFoundError(
            f"no OpenStack Swift beside {python}; run 'make setup', or set OPENMOFI_SWIFT_PYTHON"
        )
    return python


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def check_space(folder: Path) -> None:
    """Raise `InputError` if the disk of a folder that is there has too little left for a start."""
    free = shutil.disk_usage(folder).free
    if free < _START_BYTES:
        raise InputError(
            f"the disk of {folder} has {free >> 20} MiB left, and S3 needs {_START_BYTES >> 20} "
            "MiB to start; free some, or name a folder on another disk"
        )


def prepare(folder: Path, ports: Sequence[int], users: Mapping[str, str]) -> dict[str, list[str]]:
    """Write all that the four servers read; returns their commands by name, in order of start.

    Args:
        folder: Absolute; settings go to ``etc``, data to ``srv``.
        ports: Of the proxy, which speaks S3, and of the three backends.
        users: By access key (``account:user``): the secret, and ``.admin`` behind it for one who
            owns the account. Others may do what a container's ACL says.
    """
    configs = _write_configs(folder, ports, users)
    _build_rings(folder / "etc", dict(zip(_BACKENDS, ports[1:], strict=True)))
    binaries = swift_python().parent
    return {name: [str(binaries / f"swift-{name}-server"), str(configs[name])] for name in SERVERS}


def grant(folder: Path, account: str, grants: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Make buckets and say who may do what in them: ``{bucket: {"read": users, "write": users}}``.

    It talks to the backends, past the authentication, so no identity need own the account.
    """
    _run_inside(folder / "etc" / "internal.conf", "grant", f"AUTH_{account}", json.dumps(grants))


def finish_listings(folder: Path) -> None:
    """Enter into the listings what a killed container server has missed."""
    if not any((folder / "srv" / "d1").glob("async_pending*/*/*")):
        return
    _run_inside(folder / "etc" / "object.conf", "finish-listings")


def _write_configs(folder: Path, ports: Sequence[int], users: Mapping[str, str]) -> dict[str, Path]:
    settings = folder / "etc"
    for path in (settings, folder / "srv" / "d1", folder / "cache"):
        path.mkdir(parents=True, exist_ok=True)
    texts = {
        name: f"{_head(settings, port)}devices = {folder / 'srv'}\nmount_check = false\n"
        f"recon_cache_path = {folder / 'cache'}\n[pipeline:main]\npipeline = {name}-server\n"
        f"[app:{name}-server]\nuse = egg:swift#{name}\n"
        f"{_OBJECT_SERVER if name == 'object' else ''}"
        + "".join(f"[{name}-{daemon}]\n" for daemon in ("replicator", "auditor", "updater"))
        for name, port in zip(_BACKENDS, ports[1:], strict=True)
    }
    texts["proxy"] = _proxy(settings, ports[0], users)
    texts["internal"] = _proxy(settings, ports[0], None)
    (settings / "swift.conf").write_text(_SETTINGS)
    for name, text in texts.items():
        write_secretly(settings / f"{name}.conf", text)
    return {name: settings / f"{name}.conf" for name in texts}


def _proxy(settings: Path, port: int, users: Mapping[str, str] | None) -> str:
    """The proxy's configuration; without ``users`` that of a client inside, which asks nobody."""
    names = _MIDDLEWARE if users is not None else ("catch_errors",)
    logins = [(key.replace(":", "_", 1), secret) for key, secret in (users or {}).items()]
    options = {
        "s3api": "s3_acl = false\nlocation = us-east-1\n",
        "tempauth": "".join(f"user_{name} = {secret}\n" for name, secret in logins),
        "versioned_writes": "allow_object_versioning = true\n",
    }
    filters = "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n{options.get(name, '')}" for name in names
    )
    return (
        f"{_head(settings, port)}[pipeline:main]\npipeline = {' '.join(names)} proxy-server\n"
        f"[app:proxy-server]\nuse = egg:swift#proxy\n{_PROXY_SERVER}{filters}"
    )


def _head(settings: Path, port: int) -> str:
    # workers = 0: one process a server, nothing forked that could outlive it.
    return (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\n"
        f"user = {getpass.getuser()}\nswift_dir = {settings}\nlog_level = WARNING\n"
        f"fallocate_reserve = {RESERVE_BYTES}\n"
    )


def _build_rings(settings: Path, ports: Mapping[str, int]) -> None:
    """Tell the proxy where the one disk is. Built again when the ports are others."""
    made = settings / "rings.json"
    if made.is_file() and made.read_text() == json.dumps(dict(ports)):
        return
    command = str(swift_python().parent / "swift-ring-builder")
    for name, port in ports.items():
        for suffix in ("builder", "ring.gz"):
            (settings / f"{name}.{suffix}").unlink(missing_ok=True)
        builder = str(settings / f"{name}.builder")
        for arguments in (
            ["create", "6", "1", "0"],
            ["add", f"r1z1-127.0.0.1:{port}/d1", "1"],
            ["rebalance"],
        ):
            _run(command, builder, *arguments)
    made.write_text(json.dumps(dict(ports)))


def _run_inside(config: Path, *arguments: str) -> None:
    # -I: or this folder would come first, with a swift.py of its own.
    script = str(Path(__file__).with_name("swift_inside.py"))
    _run(str(swift_python()), "-I", script, str(config), *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise OpenMofiError(f"Swift cannot be set up: {reason}")
