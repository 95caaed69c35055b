"""Scope: `make stack` with real servers: rights, secrets, kills, and that nothing stays behind.

Skipped where PostgreSQL's server is not installed. It is Debian's, and ``make setup``, which may
not be root, installs nothing for the whole machine.
"""

import dataclasses
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio

from openmofi.errors import StorageError
from openmofi.storage import open_store
from stack import postgres, services, settings
from stack.processes import MARK
from support.stacks import lacking, port_options

REPOSITORY = Path(__file__).parents[2]


with_servers = [pytest.mark.s3, pytest.mark.skipif(bool(lacking()), reason=lacking())]


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stack", *arguments, "--folder", str(folder)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def marked_processes(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={folder}/".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@dataclasses.dataclass(frozen=True)
class Running:
    folder: Path
    output: str

    @property
    def stack(self) -> settings.Stack:
        found = settings.load(self.folder)
        assert found
        return found

    def become(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENMOFI_S3_ENDPOINT", self.stack.s3_endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"openmofi:{name}")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self.stack.secrets[name])


def kill(folder: Path, name: str) -> None:
    os.kill(int((folder / "run" / f"{name}.pid").read_text().split()[0]), signal.SIGKILL)


def upload_and_kill_the_listing(running: Running) -> None:
    """An object that is stored while the server of listings is gone."""
    address = running.stack.s3_endpoint.removeprefix("http://")
    secret = running.stack.secrets["pipeline"]
    client = Minio(endpoint=address, access_key=settings.PIPELINE, secret_key=secret, secure=False)
    url = client.presigned_put_object(bucket_name="openmofi", object_name="killed/late")
    upload = http.client.HTTPConnection(address, timeout=30)
    upload.putrequest("PUT", url.partition(address)[2])
    upload.putheader("Content-Length", "2")
    upload.endheaders(b"o")
    time.sleep(0.5)  # by now the proxy has asked for the bucket
    kill(running.folder, "container")
    upload.send(b"k")
    assert upload.getresponse().status == 200


@pytest.fixture(scope="module")
def started() -> Iterator[Running]:
    # Not pytest's folder, which is closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="openmofi-stack-") as name:
        Path(name).chmod(0o711)
        folder = Path(name) / "stack"
        up = run(folder, "up", *port_options())
        try:
            assert up.returncode == 0, up.stderr
            yield Running(folder, up.stdout + up.stderr)
        finally:
            run(folder, "down", "--purge")


class TestServers:
    """In the order of a stack's life; all share one."""

    pytestmark = with_servers

    def test_up_names_files_to_source_and_no_secret(self, started: Running) -> None:
        assert f". {started.folder}/pipeline.env" in started.output
        assert [s for s in started.stack.secrets.values() if s in started.output] == []

    def test_what_is_sourced_opens_the_root(self, started: Running) -> None:
        program = (
            "import os; from openmofi.storage import open_store\n"
            "s = open_store(os.environ['OPENMOFI_ROOT']); s.put('x', b'1'); print(s.get('x'))"
        )
        script = f'. {started.folder}/pipeline.env && "$0" -c "$1"'
        command = ["sh", "-c", script, sys.executable, program]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == "b'1'\n", done.stderr

    def test_secrets_are_in_no_argument_and_no_log(self, started: Running) -> None:
        secrets = [secret.encode() for secret in started.stack.secrets.values()]
        arguments = b"".join(
            Path(f"/proc/{pid}/cmdline").read_bytes() for pid in marked_processes(started.folder)
        )
        logs = b"".join(log.read_bytes() for log in (started.folder / "logs").iterdir())
        assert b"mlflow" in arguments
        assert b"ready to accept connections" in logs
        assert [s for s in secrets if s in arguments or s in logs] == []

    def test_files_with_secrets_are_closed_to_others(self, started: Running) -> None:
        secrets = [secret.encode() for secret in started.stack.secrets.values()]
        holding = [
            path
            for path in started.folder.rglob("*")
            if path.is_file() and any(s in path.read_bytes() for s in secrets)
        ]
        names = {path.name for path in holding}
        assert names == {"secrets.json", "pipeline.env", "reader.env", "proxy.conf"}
        assert {oct(path.stat().st_mode & 0o777) for path in holding} == {"0o600"}

    def test_mlflow_is_told_no_secret_but_its_own(self, started: Running) -> None:
        pids = services.pids(started.stack, "mlflow")
        environments = b"".join(Path(f"/proc/{pid}/environ").read_bytes() for pid in pids)
        known = {n for n, s in started.stack.secrets.items() if s.encode() in environments}
        assert known == {"mlflow", "postgres_mlflow"}

    def test_the_reader_reads_and_cannot_write(
        self, started: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started.become("pipeline", monkeypatch)
        open_store("s3://openmofi/rights").put("a", b"kept")
        started.become("reader", monkeypatch)
        store = open_store("s3://openmofi/rights")
        assert store.get("a") == b"kept"
        for forbidden in (lambda: store.put("a", b"other"), lambda: store.delete("a")):
            with pytest.raises(StorageError, match="denied"):
                forbidden()
        assert store.get("a") == b"kept"

    @pytest.mark.parametrize(
        ("name", "bucket"), [("pipeline", "mlflow"), ("reader", "mlflow"), ("mlflow", "openmofi")]
    )
    def test_the_other_bucket_is_closed(
        self, started: Running, monkeypatch: pytest.MonkeyPatch, name: str, bucket: str
    ) -> None:
        started.become(name, monkeypatch)
        store = open_store(f"s3://{bucket}/rights")
        for forbidden in (lambda: store.get("a"), lambda: store.put("b", b"")):
            with pytest.raises(StorageError, match="denied"):
                forbidden()

    def test_mlflows_role_opens_its_database_and_no_other(self, started: Running) -> None:
        port, password = started.stack.ports.postgres, started.stack.secrets["postgres_mlflow"]
        assert postgres.answers(port, "mlflow", password, "mlflow")
        assert not postgres.answers(port, "mlflow", password, "postgres")
        assert not postgres.answers(port, "mlflow", "wrong", "mlflow")

    def test_up_again_starts_nothing(self, started: Running) -> None:
        before = marked_processes(started.folder)
        assert run(started.folder, "up").returncode == 0
        assert marked_processes(started.folder) == before
        other = run(started.folder, "up", "--mlflow-port", "5999")
        assert other.returncode == 2
        assert "stop it first" in other.stderr

    def test_killed_servers_start_again_with_what_a_client_without_keys_has_logged(
        self, started: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mlflow import MlflowClient

        assert not [name for name in os.environ if name.startswith("AWS_")]
        client = MlflowClient(started.stack.tracking_uri)
        one = client.create_run(client.create_experiment("by hand"))
        assert one.info.artifact_uri.startswith("mlflow-artifacts:")
        (tmp_path / "note.txt").write_text("kept")
        client.log_artifact(one.info.run_id, str(tmp_path / "note.txt"))

        kill(started.folder, "mlflow")
        kill(started.folder, "postgres")
        started.become("pipeline", monkeypatch)
        upload_and_kill_the_listing(started)
        asked = run(started.folder, "status")
        assert asked.returncode == 1
        assert asked.stdout.count(" down ") == 3
        again = run(started.folder, "up")
        assert again.returncode == 0, again.stderr
        found = client.download_artifacts(one.info.run_id, "note.txt", str(tmp_path))
        assert Path(found).read_text() == "kept"
        assert [o.key for o in open_store("s3://openmofi/killed").list()] == ["late"]

    def test_down_keeps_the_data_and_purge_leaves_nothing(self, started: Running) -> None:
        ports = [port for some in started.stack.ports.by_service().values() for port in some]
        assert run(started.folder, "down").returncode == 0
        assert marked_processes(started.folder) == []
        assert [port for port in ports if not is_free(port)] == []
        assert (started.folder / "postgres" / "PG_VERSION").is_file()
        assert run(started.folder, "down", "--purge").returncode == 0
        assert list(started.folder.parent.iterdir()) == []


@pytest.mark.skipif(bool(lacking()), reason=lacking())
def test_a_taken_port_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        up = run(tmp_path / "stack", "up", *port_options()[:2], f"--postgres-port={taken}")
    assert up.returncode == 2
    assert up.stderr.startswith(f"stack: port {taken} cannot be had for postgres")
    assert up.stderr.endswith("name another one with --postgres-port\n")
    assert marked_processes(tmp_path / "stack") == []
