from collections.abc import Iterator
from pathlib import Path

import pytest

from openmofi.launch import api as api_module
from openmofi.launch.api import Kubernetes, Place
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
