"""Scope: k8s/: PostgreSQL, MLflow, the nightly dump and its restore, by their manifests' own words.

Skipped where PostgreSQL's server is not installed. Here it is Debian's, of another version than the
image's, and the image's entry point is played: it makes the volume and sources what is mounted in
/docker-entrypoint-initdb.d. Store and MLflow are real (OpenStack Swift, MLflow 3.17).
"""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from openmofi.storage import open_store
from stack.postgres import binaries, create, server_account
from stack.processes import run_as
from support.manifests import containers, named, render, templates
from support.pod_commands import command, environment, run, told_of_our_end, write_scripts
from support.stacks import lacking
from support.swift_server import ACCESS_KEY, SECRET_KEY, SwiftServer, free_ports, make_bucket

pytestmark = [
    pytest.mark.s3,
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
OBJECTS = [*render("local"), *render("restore")]
PODS = templates(OBJECTS)
SECRETS = {
    "openmofi-postgres/POSTGRES_PASSWORD": "of-the-superuser",
    "openmofi-postgres/MLFLOW_PASSWORD": "of-mlflow's role",
    "openmofi-mlflow/AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "openmofi-mlflow/AWS_SECRET_ACCESS_KEY": SECRET_KEY,
}
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def until(ready: Any, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 300  # a starved machine needs them
    while not ready():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def probe(owner: str, port: int) -> bool:
    """PostgreSQL's own probe, as it stands."""
    (container,) = containers(PODS[owner])
    words = container["readinessProbe"]["exec"]["command"]
    assert words == container["livenessProbe"]["exec"]["command"]
    given = {"PGPORT": str(port), "PATH": str(binaries())}
    return subprocess.run(words, env=given, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def database() -> Iterator[int]:
    """PostgreSQL by its manifest, with the role and database that its script makes; its port."""
    (container,) = containers(PODS["StatefulSet/openmofi-postgres"])
    given = environment(OBJECTS, container, SECRETS)
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="openmofi-k8s-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL does not run as root
        create(folder / "data", given["POSTGRES_PASSWORD"])
        words = command(container, {})
        assert words[0] == "postgres"
        words = [
            str(binaries() / words[0]), *words[1:], "-D", str(folder / "data"), "-p", str(port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                words, cwd="/", stdout=log, stderr=log, env={},
                preexec_fn=told_of_our_end(signal.SIGINT), **run_as(server_account()),
            )  # fmt: skip
        try:
            until(lambda: probe("StatefulSet/openmofi-postgres", port), server, folder / "log")
            initialise(given, port)
            yield port
            assert "of-mlflow" not in (folder / "log").read_text()
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)


def initialise(given: dict[str, str], port: int) -> None:
    """What the image does with what is mounted into its folder of first steps."""
    volume = next(v for v in PODS["StatefulSet/openmofi-postgres"]["spec"]["volumes"]
                  if v["name"] == "init")  # fmt: skip
    (script,) = named(OBJECTS, "ConfigMap", volume["configMap"]["name"])["data"].values()
    there = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGPASSWORD": given["POSTGRES_PASSWORD"]}
    run(["sh", "-euc", script], {**given, **there, "PATH": f"{binaries()}:/usr/bin:/bin"})


def query(port: int, statement: str, role: str = "mlflow", database: str = "mlflow") -> Any:
    password = {"mlflow": "MLFLOW_PASSWORD", "postgres": "POSTGRES_PASSWORD"}[role]
    connection = psycopg2.connect(
        host="127.0.0.1", port=port, user=role, dbname=database,
        password=SECRETS[f"openmofi-postgres/{password}"],
    )  # fmt: skip
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


@pytest.fixture(scope="module")
def mlflow(
    database: int, swift: SwiftServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """MLflow by its manifest on that database and on Swift; its port."""
    folder = tmp_path_factory.mktemp("mlflow")
    make_bucket(swift, "openmofi-mlflow")
    (container,) = containers(PODS["Deployment/openmofi-mlflow"])
    given = environment(OBJECTS, container, SECRETS)
    changes = {
        "MLFLOW_BACKEND_STORE_URI": given["MLFLOW_BACKEND_STORE_URI"].replace(
            "openmofi-postgres:5432", f"127.0.0.1:{database}"
        ),
        "MLFLOW_S3_ENDPOINT_URL": swift.endpoint,
        "HOME": str(folder),
    }
    assert changes["MLFLOW_BACKEND_STORE_URI"] != given["MLFLOW_BACKEND_STORE_URI"]
    (port,) = free_ports(1)
    words = command(
        container, {"--port=5000": f"--port={port}", "--host=0.0.0.0": "--host=127.0.0.1"}
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            words, env=environment(OBJECTS, container, SECRETS, **changes), cwd=folder,
            stdout=log, stderr=log, start_new_session=True,
            preexec_fn=told_of_our_end(signal.SIGTERM),
        )  # fmt: skip
    path = container["readinessProbe"]["httpGet"]["path"]
    try:
        until(lambda: ask(port, path) != 0, server, folder / "log")
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def ask(port: int, path: str, host: str = "10.1.2.3:5000") -> int:
    """The status of an answer; 0 where nobody listens. The kubelet asks by address, as here."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def call(port: int, method: str, path: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/{path}", body, method=method,
        headers={"Content-Type": "application/json", "Host": "openmofi-mlflow:5000"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def test_mlflows_role_owns_its_database_and_may_do_nothing_else(database: int) -> None:
    query(database, "CREATE TABLE mine (a int); DROP TABLE mine")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(database, "CREATE ROLE another")
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        query(database, "SELECT 1", database="postgres")
    (rights,) = query(database, "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles "
                      "WHERE rolname = 'mlflow'", "postgres")  # fmt: skip
    assert rights == (False, False, False)


def test_mlflow_answers_by_its_services_names_and_by_no_other(mlflow: int) -> None:
    (container,) = containers(PODS["Deployment/openmofi-mlflow"])
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert ask(mlflow, container[kind]["httpGet"]["path"]) == 200
    for host in (
        "openmofi-mlflow:5000",
        "openmofi-mlflow",
        "openmofi-mlflow.kubeflow-user.svc:5000",
        "openmofi-mlflow.kubeflow-user.svc.cluster.local:5000",
        "localhost:5000",
        "127.0.0.1:8080",
    ):
        assert ask(mlflow, SEARCH, host) == 200, host
    for host in ("evil.example", "openmofi-mlflow.evil.example:5000", "10.1.2.3:5000"):
        assert ask(mlflow, SEARCH, host) == 403, host


def a_run(mlflow: int) -> str:
    made = call(mlflow, "POST", "mlflow/runs/create", b'{"experiment_id": "0"}')
    return str(json.loads(made)["run"]["info"]["run_id"])


def test_an_artifact_goes_through_mlflow_into_its_own_bucket(
    mlflow: int, swift: SwiftServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"0/{a_run(mlflow)}/artifacts/weights"
    call(mlflow, "PUT", f"mlflow-artifacts/artifacts/{path}", b"some bytes")
    assert call(mlflow, "GET", f"mlflow-artifacts/artifacts/{path}") == b"some bytes"
    for name, value in swift.environment.items():
        monkeypatch.setenv(name, value)
    destination = named(OBJECTS, "ConfigMap", "openmofi-mlflow")["data"]
    assert open_store(destination["MLFLOW_ARTIFACTS_DESTINATION"]).get(path) == b"some bytes"


def job(owner: str, folder: Path, database: int, swift: SwiftServer, **settings: str) -> list[str]:
    """Run a job's containers in their order, in the pod's shared folder; what each has printed."""
    folder.mkdir(exist_ok=True)
    places = {
        "/work/": f"{folder}/",
        "/scripts/": f"{write_scripts(OBJECTS, PODS[owner], folder / 'scripts')}/",
    }
    told = []
    for container in containers(PODS[owner]):
        words = [*container["command"], *container.get("args", [])]
        given = environment(OBJECTS, container, SECRETS)
        here = {
            "PGHOST": "127.0.0.1", "PGPORT": str(database), "DUMP": str(folder / "mlflow.dump"),
            "AWS_ENDPOINT_URL": swift.endpoint, "HOME": str(folder), "TMPDIR": str(folder),
            "OPENMOFI_BACKUP_ROOT": "s3://openmofi-mlflow/postgres-test", **settings,
        }  # fmt: skip
        changed = {k: v for k, v in here.items() if k in given}
        for old, new in places.items():
            words = [word.replace(old, new) for word in words]
        told.append(run(words, {**given, **changed}))
    return told


def test_a_nights_dump_puts_back_what_was_lost(
    mlflow: int, database: int, swift: SwiftServer, tmp_path: Path
) -> None:
    run_id = a_run(mlflow)
    (_, told) = job("CronJob/openmofi-backup", tmp_path / "dump", database, swift)
    assert told.startswith("s3://openmofi-mlflow/postgres-test/mlflow-20")
    later = a_run(mlflow)
    query(database, "TRUNCATE runs CASCADE")
    (fetched, _) = job("Job/openmofi-restore", tmp_path / "back", database, swift)
    assert fetched.strip().removeprefix("fetched ") in told
    found = call(mlflow, "GET", f"mlflow/runs/get?run_id={run_id}")
    assert json.loads(found)["run"]["info"]["run_id"] == run_id
    with pytest.raises(urllib.error.HTTPError):
        call(mlflow, "GET", f"mlflow/runs/get?run_id={later}")


def test_a_dump_that_is_not_there_is_named_and_nothing_is_touched(
    database: int, swift: SwiftServer, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="no dump 'mlflow-1\\.dump' under s3://openmofi-mlf"):
        job("Job/openmofi-restore", tmp_path / "back", database, swift,
            OPENMOFI_DUMP="mlflow-1.dump")  # fmt: skip
    assert not (tmp_path / "back" / "mlflow.dump").exists()
