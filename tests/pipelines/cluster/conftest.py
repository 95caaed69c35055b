"""A Pipelines API on this machine, and what is sent to it."""

import pytest

from pipelines.cluster.api import Api
from pipelines.cluster.endpoint import Endpoint
from pipelines.cluster.listing import make_experiment
from pipelines.cluster.versions import upload
from support.kfp_server import serving_kfp
from support.kfp_toys import PACKAGE


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch, tmp_path):
    for name in (
        "KF_PIPELINES_ENDPOINT",
        "KF_PIPELINES_SA_TOKEN_PATH",
        "KF_PIPELINES_UI_ENDPOINT",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    nowhere = tmp_path / "no-pod"
    monkeypatch.setattr("pipelines.cluster.endpoint.PROJECTED_TOKEN", nowhere)
    monkeypatch.setattr("pipelines.cluster.endpoint.POD_NAMESPACE", nowhere)


@pytest.fixture
def kfp():
    with serving_kfp() as server:
        yield server


@pytest.fixture
def pauses():
    """How long the client would have slept."""
    return []


@pytest.fixture
def api(kfp, pauses):
    return Api(Endpoint(kfp.url), sleep=pauses.append)


@pytest.fixture
def hurried(kfp, pauses):
    """A client that soon gives up waiting, for servers that do not answer."""
    return Api(Endpoint(kfp.url), sleep=pauses.append, read_s=0.5)


@pytest.fixture
def version(api):
    return upload(api, PACKAGE, "")


@pytest.fixture
def experiment(api):
    return make_experiment(api, "toy", "")
