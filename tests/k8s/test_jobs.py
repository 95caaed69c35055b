"""Scope: k8s/: the jobs that make secrets, buckets and accounts do so, as they are written."""

import io
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlparse

import pytest
import urllib3
from minio import Minio
from minio.crypto import decrypt

from support.manifests import K8S, SECRETS, containers, render, templates
from support.pod_commands import command, environment, run, write_scripts
from support.swift_server import ACCESS_KEY, SECRET_KEY, SwiftServer

OBJECTS = render("local")
JOB = templates(OBJECTS)["Job/openmofi-buckets"]
BUCKETS, ACCOUNTS = containers(JOB)
OWNER = {
    "openmofi-minio/MINIO_ROOT_USER": ACCESS_KEY,
    "openmofi-minio/MINIO_ROOT_PASSWORD": SECRET_KEY,
}


@pytest.mark.s3
def test_the_bucket_job_makes_both_buckets_and_bears_repetition(
    swift: SwiftServer, tmp_path: Path
) -> None:
    given = environment(
        OBJECTS, BUCKETS, OWNER, AWS_ENDPOINT_URL=swift.endpoint,
        OPENMOFI_ROOT="s3://of-the-job/data",
        MLFLOW_ARTIFACTS_DESTINATION="s3://of-the-job-mlflow/artifacts",
        OPENMOFI_BACKUP_ROOT="s3://of-the-job-mlflow/postgres",
    )  # fmt: skip
    words = command(BUCKETS, {"/scripts": str(write_scripts(OBJECTS, JOB, tmp_path / "scripts"))})
    for _ in range(2):
        told = run(words, given)
    assert told == "bucket is there: of-the-job\nbucket is there: of-the-job-mlflow\n"
    client = Minio(
        endpoint=swift.endpoint.removeprefix("http://"), access_key=ACCESS_KEY,
        secret_key=SECRET_KEY, secure=False, region="us-east-1",
    )  # fmt: skip
    assert client.bucket_exists("of-the-job")
    assert client.bucket_exists("of-the-job-mlflow")


class FakeMinio(ThreadingHTTPServer):
    """Takes the three calls of MinIO's admin API, in its own encryption, and remembers them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.policies: dict[str, Any] = {}
        self.users: dict[str, Any] = {}
        self.attached: dict[str, list[str]] = {}
        self.broken = False


class _Handler(BaseHTTPRequestHandler):
    server: FakeMinio

    def do_PUT(self) -> None:
        url = urlparse(self.path)
        query, body = dict(parse_qsl(url.query)), self._body()
        if url.path.endswith("/add-canned-policy"):
            self.server.policies[query["name"]] = json.loads(body)
        else:
            assert url.path == "/minio/admin/v3/add-user"
            self.server.users[query["accessKey"]] = json.loads(_opened(body))
        self._answer(200, {})

    def do_POST(self) -> None:
        assert self.path == "/minio/admin/v3/idp/builtin/policy/attach"
        asked = json.loads(_opened(self._body()))
        if self.server.broken:
            self._answer(403, {"Code": "AccessDenied", "Message": "not yours, already"})
        elif self.server.attached.get(asked["user"]) == asked["policies"]:
            self._answer(400, {"Code": "XMinioAdminPolicyChangeAlreadyApplied"})
        else:
            assert set(asked["policies"]) <= set(self.server.policies)
            self.server.attached[asked["user"]] = asked["policies"]
            self._answer(204, {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status: int, body: object) -> None:
        data = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


def _opened(body: bytes) -> str:
    sealed = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
    return decrypt(sealed, SECRET_KEY).decode()


@pytest.fixture
def minio() -> Iterator[FakeMinio]:
    server = FakeMinio()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def account_job(minio: FakeMinio, folder: Path) -> tuple[list[str], dict[str, str]]:
    secrets = OWNER | {
        f"openmofi-{name}/{key}": f"{name}-{'key' if 'ID' in key else 'secret'}"
        for name in ("storage", "reader", "mlflow")
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    address = f"http://127.0.0.1:{minio.server_port}"
    words = command(ACCOUNTS, {"/scripts": str(write_scripts(OBJECTS, JOB, folder / "scripts"))})
    return words, environment(OBJECTS, ACCOUNTS, secrets, AWS_ENDPOINT_URL=address)


def test_the_account_job_gives_three_accounts_their_own_bucket_and_no_more(
    minio: FakeMinio, tmp_path: Path
) -> None:
    words, given = account_job(minio, tmp_path)
    for _ in range(2):
        run(words, given)
    assert minio.users == {
        f"{name}-key": {"status": "enabled", "secretKey": f"{name}-secret"}
        for name in ("storage", "reader", "mlflow")
    }
    assert minio.attached == {
        "storage-key": ["openmofi-pipeline"],
        "reader-key": ["openmofi-reader"],
        "mlflow-key": ["openmofi-mlflow"],
    }
    for name, bucket, writes in (
        ("pipeline", "openmofi", True),
        ("reader", "openmofi", False),
        ("mlflow", "openmofi-mlflow", True),
    ):
        look, act = minio.policies[f"openmofi-{name}"]["Statement"]
        assert look["Resource"] == [f"arn:aws:s3:::{bucket}"]
        assert act["Resource"] == [f"arn:aws:s3:::{bucket}/*"]
        assert "s3:GetObject" in act["Action"]
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"):
            assert (action in act["Action"]) == writes
        assert not [word for word in (*look["Action"], *act["Action"]) if "*" in word]


def test_the_account_job_fails_where_minio_refuses_it(minio: FakeMinio, tmp_path: Path) -> None:
    words, given = account_job(minio, tmp_path)
    minio.broken = True
    assert "AccessDenied" in run(words, given, code=1)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_new_secrets_fill_every_file_for_its_owner_alone_and_replace_none(tmp_path: Path) -> None:
    words = ["sh", str(K8S / "new-secrets.sh"), str(tmp_path / "new")]
    subprocess.run(words, check=True, env={"PATH": "/usr/bin:/bin"}, umask=0)
    values = []
    for path in (tmp_path / "new").iterdir():
        assert path.stat().st_mode & 0o077 == 0
        pairs = dict(line.split("=") for line in path.read_text().splitlines())
        assert set(pairs) == SECRETS[f"openmofi-{path.stem}"]
        values += pairs.values()
    assert len(values) == sum(map(len, SECRETS.values())) == len(set(values))
    assert all(values)
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "File exists" in again.stderr
