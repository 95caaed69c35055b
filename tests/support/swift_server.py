"""A real S3 server for tests and for trying ``OPENMOFI_ROOT=s3://…`` by hand: OpenStack Swift.

Swift with its ``s3api`` checks signatures, knows ranges and multipart uploads, and installs from
wheels without root. It lives in an environment of its own (``.venv-s3``, made by ``make setup``;
``OPENMOFI_SWIFT_PYTHON`` names another interpreter), since its pins are not ours.

By hand: ``python tests/support/swift_server.py DIR PORT`` serves until Ctrl-C and prints the
lines to export. Data stays in DIR, whose file system must have user xattrs (ext4 and tmpfs do).
"""

import argparse
import contextlib
import ctypes
import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "demo:openmofi"  # Swift's s3api takes "account:user"
SECRET_KEY = "local-tests-only"
BUCKET = "openmofi"

_REPOSITORY = Path(__file__).resolve().parents[2]
_BACKENDS = ("account", "container", "object")
# symlink must stand before versioned_writes, and copy and slo after the authentication.
_MIDDLEWARE = (
    "catch_errors", "listing_formats", "bulk", "s3api", "tempauth", "copy", "slo", "symlink",
    "versioned_writes",
)  # fmt: skip
_START_S = 30
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class SwiftServer:
    """A running server: its address, and the environment that leads a client to it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "OPENMOFI_S3_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }


def swift_python() -> Path:
    """The interpreter of the environment that Swift is installed in."""
    named = os.environ.get("OPENMOFI_SWIFT_PYTHON")
    python = Path(named) if named else _REPOSITORY / ".venv-s3" / "bin" / "python"
    if not (python.parent / "swift-proxy-server").is_file():
        raise FileNotFoundError(
            f"no OpenStack Swift beside {python}; run 'make setup', or set OPENMOFI_SWIFT_PYTHON"
        )
    return python


@contextlib.contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[SwiftServer]:
    """Serve S3 on a loopback port (0: four free ones are found) with ``folder`` as its disk."""
    binaries = swift_python().parent
    ports = [port + i for i in range(4)] if port else free_ports(4)
    configs = _write_configs(folder.absolute(), ports)
    _build_rings(folder.absolute(), binaries, dict(zip(_BACKENDS, ports[1:], strict=True)))
    processes = []
    try:
        for name, config in configs.items():
            log = (folder / f"{name}.log").open("wb")
            command = [str(binaries / f"swift-{name}-server"), str(config)]
            processes.append(
                subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent
                )
            )
            log.close()
        _wait_for(ports, processes, folder)
        server = SwiftServer(f"http://127.0.0.1:{ports[0]}")
        make_bucket(server)
        yield server
    finally:
        _stop(processes)


def make_bucket(server: SwiftServer, bucket: str = BUCKET) -> None:
    """Create a bucket unless it is there. The first request may come before Swift is ready."""
    from minio import Minio
    from minio.error import S3Error

    client = Minio(
        endpoint=server.endpoint.removeprefix("http://"),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region="us-east-1",
    )
    deadline = time.monotonic() + _START_S
    while True:
        try:
            if not client.bucket_exists(bucket):
                client.make_bucket(bucket)
            return
        except S3Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _write_configs(folder: Path, ports: Sequence[int]) -> dict[str, Path]:
    """Configuration of the four servers, backends first; returns their paths by server name."""
    settings = folder / "etc"
    for path in (settings, folder / "srv" / "d1", folder / "cache"):
        path.mkdir(parents=True, exist_ok=True)
    (settings / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = local\nswift_hash_path_prefix = local\n"
        "[storage-policy:0]\nname = default\ndefault = yes\n"
    )
    configs = {}
    for name, port in zip(_BACKENDS, ports[1:], strict=True):
        configs[name] = settings / f"{name}.conf"
        daemons = "".join(f"[{name}-{d}]\n" for d in ("replicator", "auditor", "updater"))
        configs[name].write_text(
            f"{_head(settings, port)}devices = {folder / 'srv'}\nmount_check = false\n"
            f"recon_cache_path = {folder / 'cache'}\n[pipeline:main]\npipeline = {name}-server\n"
            f"[app:{name}-server]\nuse = egg:swift#{name}\n{daemons}"
        )
    account, user = ACCESS_KEY.split(":")
    options = {
        "s3api": "s3_acl = false\nlocation = us-east-1\n",
        "tempauth": f"user_{account}_{user} = {SECRET_KEY} .admin\n",
        "versioned_writes": "allow_object_versioning = true\n",
    }
    filters = "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n{options.get(name, '')}" for name in _MIDDLEWARE
    )
    configs["proxy"] = settings / "proxy.conf"
    configs["proxy"].write_text(
        f"{_head(settings, ports[0])}[pipeline:main]\n"
        f"pipeline = {' '.join(_MIDDLEWARE)} proxy-server\n"
        f"[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n{filters}"
    )
    return configs


def _head(settings: Path, port: int) -> str:
    # workers = 0: one process a server, nothing forked that could outlive it.
    return (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\n"
        f"user = {getpass.getuser()}\nswift_dir = {settings}\nlog_level = WARNING\n"
    )


def _build_rings(folder: Path, binaries: Path, ports: dict[str, int]) -> None:
    """Tell the proxy where the one disk is. Rebuilt each time: the ports may be others."""
    for name, port in ports.items():
        for suffix in ("builder", "ring.gz"):
            (folder / "etc" / f"{name}.{suffix}").unlink(missing_ok=True)
        builder = str(folder / "etc" / f"{name}.builder")
        for arguments in (
            ["create", "6", "1", "0"],
            ["add", f"r1z1-127.0.0.1:{port}/d1", "1"],
            ["rebalance"],
        ):
            subprocess.run(
                [str(binaries / "swift-ring-builder"), builder, *arguments],
                check=True,
                stdout=subprocess.DEVNULL,
            )


def _wait_for(
    ports: Sequence[int], processes: Sequence["subprocess.Popen[bytes]"], folder: Path
) -> None:
    deadline = time.monotonic() + _START_S
    for port in ports:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            dead = next((p for p in processes if p.poll() is not None), None)
            if dead is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Swift did not start; see the logs in {folder}")
            time.sleep(0.05)


def _die_with_parent() -> None:
    # A killed test run must not leave servers behind. Linux only, like Swift.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve S3 from a folder, until Ctrl-C.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int, help="and the three ports after it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with serving(arguments.folder, arguments.port) as server:
        for name, value in server.environment.items():
            print(f"export {name}={value}")
        print(f"export OPENMOFI_ROOT=s3://{BUCKET}/demo", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
