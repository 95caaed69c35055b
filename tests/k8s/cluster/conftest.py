"""One control plane for all tests of a session, with the kinds of Trainer and Kueue; no nodes."""

import json
from collections.abc import Iterator

import pytest

from support.applied import restricted_namespace
from support.control_plane import ControlPlane, control_plane
from support.crds import definition

CRDS = ("trainjobs", "clustertrainingruntimes", "clusterqueues", "localqueues", "resourceflavors")


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Whoever takes kinds or objects away that belong to no namespace puts them back."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        made = [definition(name) for name in CRDS]
        whole = {"apiVersion": "v1", "kind": "List", "items": made}
        plane.kubectl("create", "-f", "-", given=json.dumps(whole))
        names = [f"crd/{one['metadata']['name']}" for one in made]
        plane.kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
        yield plane


@pytest.fixture(scope="module")
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A namespace of the module's own, with the labels that k8s/README.md gives it."""
    with restricted_namespace(plane) as name:
        yield name
