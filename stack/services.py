"""Start, stop and ask the three services: PostgreSQL, S3 (Swift) and MLflow."""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from openmofi.errors import InputError, OpenMofiError
from stack import postgres, swift
from stack.processes import processes, running, start, stop
from stack.settings import (
    ACCOUNT,
    BUCKET,
    MLFLOW,
    MLFLOW_BUCKET,
    PIPELINE,
    READER,
    Stack,
    write_environments,
)

# By service: its processes, in the order of start.
SERVICES = {"postgres": ("postgres",), "s3": swift.SERVERS, "mlflow": ("mlflow",)}
_GRANTS = {
    BUCKET: {"read": [PIPELINE, READER], "write": [PIPELINE]},
    MLFLOW_BUCKET: {"read": [MLFLOW], "write": [MLFLOW]},
}
_MODULES = {"boto3": "boto3", "mlflow": "mlflow", "psycopg2": "psycopg2-binary"}
_START_S = 300  # a starved machine needs them; a server that ends is noticed at once


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let nobody else make, start or stop the stack of this folder meanwhile."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o711, parents=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_installed() -> None:
    """Raise `InputError` for the first thing that this machine lacks."""
    postgres.binaries()
    postgres.server_account()
    try:
        swift.swift_python()
    except FileNotFoundError as error:
        raise InputError(str(error)) from None
    for module, package in _MODULES.items():
        if importlib.util.find_spec(module) is None:
            raise InputError(f"{package} is not installed; run 'make setup' (the extra 'stack')")


def is_up(stack: Stack, service: str) -> bool:
    """Whether all processes of a service are there and it answers."""
    return all(running(stack.folder, name) for name in SERVICES[service]) and _PROBES[service](
        stack
    )


def up(stack: Stack) -> None:
    """Start what does not run, and wait until all of it answers. Data that is there is kept."""
    missing = [name for name in SERVICES if not is_up(stack, name)]
    for service in missing:
        # Half a service is no use, and what a killed one has left may hold its port.
        halt(stack, service)
    _check_ports(stack, missing)
    if "s3" in missing:
        swift.check_space(stack.folder)
    for name in ("logs", "run", "swift"):
        (stack.folder / name).mkdir(mode=0o700, exist_ok=True)
    for service in missing:
        _STARTS[service](stack)
    write_environments(stack)


def halt(stack: Stack, service: str) -> None:
    """Stop a service. PostgreSQL ends at once on SIGINT, and writes all to disk."""
    how = signal.SIGINT if service == "postgres" else signal.SIGTERM
    for name in reversed(SERVICES[service]):
        stop(stack.folder, name, how)


def down(stack: Stack) -> None:
    """Stop all, clients before what they use."""
    for service in reversed(SERVICES):
        halt(stack, service)


def purge(stack: Stack) -> None:
    """Remove the folder, with all data and secrets."""
    shutil.rmtree(stack.folder)


def pids(stack: Stack, service: str) -> list[int]:
    """The processes of a service."""
    return [pid for name in SERVICES[service] for pid in processes(stack.folder, name)]


def _check_ports(stack: Stack, services: list[str]) -> None:
    for service in services:
        for port in stack.ports.by_service()[service]:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    raise InputError(
                        f"port {port} cannot be had for {service} ({error.strerror}); "
                        f"name another one with --{service}-port"
                    ) from None


def _start_postgres(stack: Stack) -> None:
    data = stack.folder / "postgres"
    postgres.create(data, stack.secrets["postgres_superuser"])
    postgres.open_stale_lock(data)
    command = postgres.command(data, stack.ports.postgres)
    start(stack.folder, "postgres", command, {}, postgres.server_account())
    _wait(stack, "postgres", _postgres_takes_logins)
    passwords = stack.secrets["postgres_superuser"], stack.secrets["postgres_mlflow"]
    postgres.seed(stack.ports.postgres, *passwords)


def _start_s3(stack: Stack) -> None:
    folder = stack.folder / "swift"
    users = {user: stack.secrets[user.split(":")[1]] for user in (PIPELINE, READER, MLFLOW)}
    commands = swift.prepare(folder, stack.ports.by_service()["s3"], users)
    for name, command in commands.items():
        start(stack.folder, name, command, {})
    _wait(stack, "s3", _s3_listens)
    swift.finish_listings(folder)
    swift.grant(folder, ACCOUNT, _GRANTS)
    _wait(stack, "s3", _s3_answers)


def _start_mlflow(stack: Stack) -> None:
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
        "--port", str(stack.ports.mlflow), "--workers", "1", "--serve-artifacts",
        "--artifacts-destination", f"s3://{MLFLOW_BUCKET}/artifacts",
    ]  # fmt: skip
    environment = {
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://{postgres.ROLE}@127.0.0.1:"
        f"{stack.ports.postgres}/{postgres.DATABASE}",
        "PGPASSWORD": stack.secrets["postgres_mlflow"],
        "MLFLOW_S3_ENDPOINT_URL": stack.s3_endpoint,
        "AWS_ACCESS_KEY_ID": MLFLOW,
        "AWS_SECRET_ACCESS_KEY": stack.secrets["mlflow"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Half of the memory, and nothing that we use less.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    start(stack.folder, "mlflow", command, environment)
    _wait(stack, "mlflow", _mlflow_answers)


def _wait(stack: Stack, service: str, answers: Callable[[Stack], bool]) -> None:
    deadline = time.monotonic() + _START_S
    while not answers(stack):
        dead = next((n for n in SERVICES[service] if not running(stack.folder, n)), None)
        if dead or time.monotonic() > deadline:
            log = stack.folder / "logs" / f"{dead or SERVICES[service][-1]}.log"
            how = "ended at once" if dead else f"does not answer after {_START_S} seconds"
            raise OpenMofiError(f"{service} {how}; its log is {log}")
        time.sleep(0.1)


def _postgres_takes_logins(stack: Stack) -> bool:
    password = stack.secrets["postgres_superuser"]
    return postgres.answers(stack.ports.postgres, postgres.SUPERUSER, password, "postgres")


def _postgres_answers(stack: Stack) -> bool:
    password = stack.secrets["postgres_mlflow"]
    return postgres.answers(stack.ports.postgres, postgres.ROLE, password, postgres.DATABASE)


def _s3_listens(stack: Stack) -> bool:
    for port in stack.ports.by_service()["s3"]:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return False
    return True


def _s3_answers(stack: Stack) -> bool:
    """As the reader: a right answer says that its key and its grant stand."""
    import minio
    import urllib3

    client = minio.Minio(
        endpoint=stack.s3_endpoint.removeprefix("http://"),
        access_key=READER,
        secret_key=stack.secrets["reader"],
        secure=False,
        region="us-east-1",
        http_client=urllib3.PoolManager(timeout=10, retries=False),
    )
    try:
        return bool(client.bucket_exists(bucket_name=BUCKET))
    except (minio.error.MinioException, urllib3.exceptions.HTTPError):
        return False


def _mlflow_answers(stack: Stack) -> bool:
    # Past any proxy of the environment, which would not reach the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{stack.tracking_uri}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


_STARTS = {"postgres": _start_postgres, "s3": _start_s3, "mlflow": _start_mlflow}
_PROBES = {"postgres": _postgres_answers, "s3": _s3_answers, "mlflow": _mlflow_answers}
