"""What every test gets: an environment of its own, and a real S3 server for those who ask."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from support.swift_server import BUCKET, SwiftServer, serving

_TESTS = Path(__file__).parent
_KEPT = {"OPENMOFI_SWIFT_PYTHON"}

# The same examples on every machine, and no deadline on a busy one.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Forget the developer's own endpoints, credentials and runs before any test starts."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "MINIO_", "MLFLOW_", "OPENMOFI_")) and name not in _KEPT:
            del os.environ[name]
    # Spawned workers and subprocesses must import `support` as the tests do.
    paths = [str(_TESTS), str(_TESTS.parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    """A real S3 server (OpenStack Swift) with one bucket, for the whole session."""
    with serving(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def s3_root(swift: SwiftServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An empty root ``s3://…`` on the server, with its credentials in the environment."""
    for name, value in swift.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENMOFI_CACHE", str(tmp_path / "s3-cache"))
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty root: once a folder, once on S3. Tests of storage promises run on both."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_root"))
    return (tmp_path / "root").as_uri()
