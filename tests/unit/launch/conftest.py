from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from openmofi.launch import api as api_module
from openmofi.launch.api import Kubernetes, Place
from openmofi.launch.follow import Following
from support.followed_jobs import Told
from support.trainjob_launcher import wanted
from support.trainjob_server import NAMESPACE, Cluster, serve


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with serve(cluster) as address:
        yield address


@pytest.fixture
def kubernetes(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubernetes:
    """A client with an account's token, patient enough for a machine that is busy."""
    monkeypatch.setattr(api_module, "_FIRST_WAIT_S", 0.01)
    (tmp_path / "token").write_text("first\n")
    return Kubernetes(Place(url, NAMESPACE, tmp_path, "launcher"), patience_s=60, timeout_s=20)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    lines = Told()
    for module in ("follow", "node_log"):
        monkeypatch.setattr(f"openmofi.launch.{module}.say", lines)
    return lines


@pytest.fixture
def launch(
    kubernetes: Kubernetes, tmp_path: Path, cluster: Cluster
) -> Iterator[Callable[..., "Future[str]"]]:
    """Start a launcher in a thread."""
    model = tmp_path / "model"

    def start(run: str = "a", count: int = 2) -> "Future[str]":
        result = lambda: model.read_text() if model.exists() else ""  # noqa: E731
        return pool.submit(Following(kubernetes, wanted(run, count), result, 0.01).run)

    with ThreadPoolExecutor(4) as pool:
        yield start
        cluster.fault = lambda *_: (403, "the test is over")  # no thread outlives it
