"""Scope: k8s/base: commands that run without a cluster do what they should, as they are written."""

import itertools
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from minio import Minio

from support.manifests import EXTERNAL, Object, named, pod
from support.swift_server import ACCESS_KEY, SECRET_KEY, SwiftServer, free_ports


def environment(container: Object, secrets: dict[str, str], **changes: str) -> dict[str, str]:
    """The container's environment, with the base's settings and the secrets given."""
    settings = named("ConfigMap", "openmofi-settings")["data"]
    found = dict(settings) if "envFrom" in container else {}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        if "secretKeyRef" in source:
            found[variable["name"]] = secrets[source["secretKeyRef"]["key"]]
        elif "configMapKeyRef" in source:
            found[variable["name"]] = settings[source["configMapKeyRef"]["key"]]
        else:
            found[variable["name"]] = variable["value"]
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **found, **changes}


@pytest.mark.s3
def test_the_bucket_job_makes_the_bucket_and_bears_repetition(swift: SwiftServer) -> None:
    container = pod(named("Job", "openmofi-bucket"))["containers"][0]
    secrets = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    given = environment(
        container, secrets, AWS_ENDPOINT_URL=swift.endpoint, OPENMOFI_ROOT="s3://of-the-job/data"
    )
    command = [sys.executable, *container["command"][1:], *container["args"]]
    for _ in range(2):
        subprocess.run(command, env=given, check=True)
    client = Minio(
        endpoint=swift.endpoint.removeprefix("http://"),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region="us-east-1",
    )
    assert client.bucket_exists("of-the-job")


@pytest.mark.slow
def test_mlflow_starts_as_written_and_answers_whom_it_should(tmp_path: Path) -> None:
    container = pod(named("Deployment", "openmofi-mlflow"))["containers"][0]
    given = environment(
        container,
        dict.fromkeys(itertools.chain(*EXTERNAL.values()), "x"),
        # Neither the PostgreSQL driver nor boto3 is installed here; all else is as in the pod.
        MLFLOW_BACKEND_STORE_URI=f"sqlite:///{tmp_path}/mlflow.db",
        MLFLOW_ARTIFACTS_DESTINATION=str(tmp_path / "artifacts"),
        HOME=str(tmp_path),
    )
    (port,) = free_ports(1)
    changed = {"--port=5000": f"--port={port}", "--host=0.0.0.0": "--host=127.0.0.1"}
    arguments = [changed.get(argument, argument) for argument in container["args"]]
    assert set(changed) <= set(container["args"])
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(
        [*container["command"], *arguments],
        env=given, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        probe = container["readinessProbe"]["httpGet"]["path"]
        _wait_for(port, probe, server, tmp_path / "log")
        assert _ask(port, probe, "10.1.2.3:5000") == 200  # the kubelet asks by address
        for host in (
            "openmofi-mlflow:5000",
            "openmofi-mlflow",
            "openmofi-mlflow.kubeflow-user.svc:5000",
            "openmofi-mlflow.kubeflow-user.svc.cluster.local:5000",
            "localhost:5000",
            "127.0.0.1:8080",
        ):
            assert _ask(port, SEARCH, host) == 200, host
        for host in ("evil.example", "openmofi-mlflow.evil.example:5000", "10.1.2.3:5000"):
            assert _ask(port, SEARCH, host) == 403, host
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)
        log.close()


SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def _ask(port: int, path: str, host: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _wait_for(port: int, path: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if _ask(port, path, "localhost") == 200:
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
