"""Kubeflow Trainer's and JobSet's own controllers, with their webhooks, on a control plane.

Their programs lie beside the control plane's, in KUBERNETES_BIN, built from Trainer 2.3 and JobSet
0.12. There is no network of services: the API server finds the webhooks by their addresses.
"""

import base64
import contextlib
import copy
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from support.control_plane import ControlPlane
from support.control_plane import lacking as lacking_control_plane
from support.crds import definition
from support.stacks import ports_in_a_row
from support.waiting import wait_for

TRAINER, JOBSET = "trainer-controller-manager", "jobset-controller-manager"
_PODS_OF_JOBSETS = {
    "matchExpressions": [{"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}]
}
# Program, path, API group and version, resource, operations: as their projects' manifests say.
_MUTATING = (
    (TRAINER, "mutate-trainer-kubeflow-org-v1alpha1-trainjob", "trainjobs", "CREATE UPDATE"),
    (JOBSET, "mutate-jobset-x-k8s-io-v1alpha2-jobset", "jobsets", "CREATE"),
    (JOBSET, "mutate--v1-pod", "pods", "CREATE"),
)
_VALIDATING = (
    (
        TRAINER, "validate-trainer-kubeflow-org-v1alpha1-clustertrainingruntime",
        "clustertrainingruntimes", "CREATE UPDATE",
    ),
    (
        TRAINER, "validate-trainer-kubeflow-org-v1alpha1-trainingruntime",
        "trainingruntimes", "CREATE UPDATE",
    ),
    (TRAINER, "validate-trainer-kubeflow-org-v1alpha1-trainjob", "trainjobs", "CREATE UPDATE"),
    (JOBSET, "validate-jobset-x-k8s-io-v1alpha2-jobset", "jobsets", "CREATE UPDATE"),
    (JOBSET, "validate--v1-pod", "pods", "CREATE"),
)  # fmt: skip
_GROUPS = {"pods": ("", "v1"), "jobsets": ("jobset.x-k8s.io", "v1alpha2")}
_TRAINER_GROUP = ("trainer.kubeflow.org", "v1alpha1")


def lacking() -> str:
    """Why the controllers can't be started here; empty if they can."""
    if why := lacking_control_plane():
        return why
    folder = Path(os.environ["KUBERNETES_BIN"])
    missing = [name for name in (TRAINER, JOBSET) if not (folder / name).is_file()]
    return f"{folder} lacks {', '.join(missing)}" if missing else ""


@contextlib.contextmanager
def trainer_controllers(plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Trainer and JobSet at work; afterwards their webhooks and JobSet's kinds are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = _write_certificate(folder / "k8s-webhook-server" / "serving-certs")
    free = ports_in_a_row(4)
    ports = dict(zip((TRAINER, JOBSET), free[:2], strict=True))
    health = dict(zip((TRAINER, JOBSET), free[2:], strict=True))
    made = [*_kinds(), *_webhooks(ports, certificate)]
    with contextlib.ExitStack() as stack:
        _create(plane, _kinds())
        stack.callback(_delete, plane, made)
        for program in (JOBSET, TRAINER):
            settings = _settings(program, ports[program], health[program])
            _start(program, settings, plane, folder, stack)
        for port in health.values():
            wait_for(lambda port=port: _ready(port))
        _create(plane, _webhooks(ports, certificate))
        yield


def _kinds() -> list[dict[str, Any]]:
    """JobSets, and the runtimes of one namespace, whose schema is that of the cluster's."""
    runtimes = copy.deepcopy(definition("clustertrainingruntimes"))
    runtimes["metadata"]["name"] = f"trainingruntimes.{_TRAINER_GROUP[0]}"
    names = {"plural": "trainingruntimes", "singular": "trainingruntime"}
    names |= {"kind": "TrainingRuntime", "listKind": "TrainingRuntimeList"}
    runtimes["spec"] |= {"scope": "Namespaced", "names": names}
    return [definition("jobsets"), runtimes]


def _create(plane: ControlPlane, objects: list[dict[str, Any]]) -> None:
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    plane.kubectl("create", "-f", "-", given=given)
    for one in objects:
        if one["kind"] == "CustomResourceDefinition":
            name = f"crd/{one['metadata']['name']}"
            plane.kubectl("wait", "--for=condition=Established", name, "--timeout=60s")


def _delete(plane: ControlPlane, objects: list[dict[str, Any]]) -> None:
    for one in reversed(objects):
        named = (one["kind"], one["metadata"]["name"])
        plane.kubectl("delete", *named, "--ignore-not-found", "--timeout=60s")


def _write_certificate(folder: Path) -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {folder / 'tls.key'}"
    made = [*command.split(), "-out", str(folder / "tls.crt")]
    subprocess.run(made, check=True, capture_output=True)
    return (folder / "tls.crt").read_bytes()


def _settings(program: str, port: int, health: int) -> dict[str, Any]:
    common = {
        "kind": "Configuration",
        "webhook": {"port": port, "host": "127.0.0.1"},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
    }
    without = {"enable": False}  # they would wait for a kubelet to lay a secret into a folder
    if program == TRAINER:
        version = "config.trainer.kubeflow.org/v1alpha1"
        return {**common, "apiVersion": version, "certManagement": without}
    version, alone = "config.jobset.x-k8s.io/v1alpha1", {"leaderElect": False}
    return {
        **common, "apiVersion": version, "internalCertManagement": without,
        "leaderElection": alone,
    }  # fmt: skip


def _start(
    program: str,
    settings: dict[str, Any],
    plane: ControlPlane,
    folder: Path,
    stack: contextlib.ExitStack,
) -> None:
    file = folder / f"{program}.yaml"
    file.write_text(yaml.safe_dump(settings))
    log = stack.enter_context((folder / f"{program}.log").open("wb"))
    process = subprocess.Popen(
        [Path(os.environ["KUBERNETES_BIN"]) / program, f"--config={file}"],
        stdout=log, stderr=log,
        # The webhooks' certificate lies below the folder for temporary files.
        env={**os.environ, "KUBECONFIG": str(plane.kubeconfig), "TMPDIR": str(folder)},
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)


def _ready(port: int) -> bool:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5)
        return True
    return False


def _webhooks(ports: dict[str, int], certificate: bytes) -> list[dict[str, Any]]:
    def hooks(table: tuple[tuple[str, str, str, str], ...]) -> list[dict[str, Any]]:
        found = []
        for program, path, resource, operations in table:
            group, version = _GROUPS.get(resource, _TRAINER_GROUP)
            rule = {
                "apiGroups": [group], "apiVersions": [version], "resources": [resource],
                "operations": operations.split(),
            }  # fmt: skip
            client = {
                "url": f"https://127.0.0.1:{ports[program]}/{path}",
                "caBundle": base64.b64encode(certificate).decode(),
            }
            hook = {
                "name": f"{resource}.{program}.test", "rules": [rule], "clientConfig": client,
                "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "sideEffects": "None",
            }  # fmt: skip
            found.append(
                {**hook, "objectSelector": _PODS_OF_JOBSETS} if resource == "pods" else hook
            )
        return found

    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "trainer-and-jobset"},
            "webhooks": hooks(table),
        }
        for kind, table in (
            ("MutatingWebhookConfiguration", _MUTATING),
            ("ValidatingWebhookConfiguration", _VALIDATING),
        )
    ]
