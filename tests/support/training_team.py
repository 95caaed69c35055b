"""A namespace in which Trainer's and JobSet's own controllers work; the kubelets are played."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openmofi.launch.api import Kubernetes, Place
from openmofi.launch.job import Launch, train_job
from support import pod_launcher
from support.control_plane import ControlPlane
from support.fake_nodes import Kind, Kubelet, kubelet, nodes
from support.manifests import named, render
from support.run_namespaces import BEGUN, create, end_container, run_namespace, set_status
from support.trainer_controllers import trainer_controllers
from support.trainjob_launcher import RECIPE
from support.waiting import wait_for

Object = dict[str, Any]
Launcher = subprocess.Popen[str]
NAME = f"openmofi-{RECIPE}"
IMAGE = "registry.example/openmofi-training-python@sha256:" + "0" * 64
OWN_POD = "wf-a-run-train-model"
# What Trainer and JobSet make of a job.
MADE = "trainjobs,jobsets,jobs,pods,services"


@dataclass
class Team:
    """Where runs are, and what a test plays there.

    Args:
        plane: The control plane.
        namespace: Of the runs.
        machine: The kubelet of all nodes, which knows logs.
        account: Folder that Kubernetes would mount into the launcher's pod.
    """

    plane: ControlPlane
    namespace: str
    machine: Kubelet
    account: Path
    begun: list[Launcher] = field(default_factory=list)

    @property
    def api(self) -> Kubernetes:
        """As the service account of runs."""
        place = Place(self.plane.url, self.namespace, self.account, OWN_POD)
        return Kubernetes(place, patience_s=20)

    def kubectl(self, *words: str, given: str = "") -> str:
        return self.plane.kubectl("-n", self.namespace, *words, given=given)

    def launch(self, run: str = "a") -> Launcher:
        """A launcher in a process of its own."""
        host, port = self.plane.url.removeprefix("https://").split(":")
        place = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        process = subprocess.Popen(
            [sys.executable, pod_launcher.__file__, str(self.account), run],
            env={**os.environ, **place, "HOSTNAME": OWN_POD},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.begun.append(process)
        return process

    def launched(self) -> tuple[Launcher, list[str]]:
        """A launcher whose job's nodes run, and their pods."""
        launcher = self.launch()
        wait_for(self.jobs)
        return launcher, self.started()

    def job(self) -> Object:
        return self.plane.get("-n", self.namespace, "trainjob", NAME)

    def jobs(self) -> list[Object]:
        return list(self.plane.get("-n", self.namespace, "trainjobs")["items"])

    def pods(self) -> list[Object]:
        """The job's, by node."""
        found = self.plane.get("-n", self.namespace, "pods", "-l", _OF_THE_JOB)["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def placed(self, count: int = 2) -> list[str]:
        """The pods' names, once that many have a node."""
        wait_for(lambda: sum("nodeName" in pod["spec"] for pod in self.pods()) == count)
        return [pod["metadata"]["name"] for pod in self.pods()]

    def started(self) -> list[str]:
        """As above, and they run."""
        names = self.placed()
        for name in names:
            set_status(self.plane, self.namespace, "pod", name, {"phase": "Running"})
        return names

    def end(self, pod: str, code: int, reason: str = "Error", at: str = BEGUN) -> None:
        """Its kubelet says that its container has ended."""
        end_container(self.plane, self.namespace, pod, code, reason, at)

    def let_go(self, *pods: str) -> None:
        """Their kubelet says that they have ended as they were told to."""
        words = ("delete", "pod", "--force", "--grace-period=0", "--wait=false")
        self.kubectl(*words, "--ignore-not-found", *pods)

    def is_leaving(self, pod: str) -> bool:
        found = {one["metadata"]["name"]: one["metadata"] for one in self.pods()}
        return "deletionTimestamp" in found[pod]

    def left(self) -> list[str]:
        """Kinds and names of all that is there of the job."""
        found = self.plane.get("-n", self.namespace, MADE)["items"]
        names = [(one["kind"], one["metadata"]["name"]) for one in found]
        return sorted(f"{kind} {name}" for kind, name in names if name.startswith("openmofi-"))

    def clear(self) -> None:
        """No launcher, no job, none of its pods."""
        for process in self.begun:
            process.kill()
            process.communicate()
        self.begun.clear()
        (self.account / "model").unlink(missing_ok=True)
        self.kubectl("delete", "trainjobs", "--all", "--timeout=60s")
        wait_for(self._gone)

    def put_back(self, node: Object) -> None:
        """A node that a test took away."""
        self.plane.kubectl("create", "-f", "-", given=json.dumps(node))

    def _gone(self) -> bool:
        if names := [pod["metadata"]["name"] for pod in self.pods()]:
            self.let_go(*names)
        return not self.left()


_OF_THE_JOB = "jobset.sigs.k8s.io/jobset-name"


def launch_of(recipe: str = RECIPE) -> Launch:
    return Launch(recipe, "s3://b/x.json", {"max_steps": 3, "a": "$(HOME)"}, "mine", "a-run")


def made(team: Team, nodes: Any, **spec: Any) -> Object:
    """A job of the library's own making, with fields of its spec in the place of ours."""
    job = train_job(launch_of(), nodes, image=IMAGE)
    job["spec"] |= spec
    create(team.plane, team.namespace, job)
    return job


@contextlib.contextmanager
def training_team(plane: ControlPlane, folder: Path) -> Iterator[Team]:
    """Controllers, three nodes of the pool gpu-training, our runtime, the launcher's own pod."""
    pool = Kind("trains", 3, "32", "256Gi", 8, pool="gpu-training", tainted=True)
    account = folder / "account"
    account.mkdir()
    with contextlib.ExitStack() as stack:
        stack.enter_context(trainer_controllers(plane, folder / "controllers"))
        machine = stack.enter_context(kubelet(folder))
        stack.enter_context(nodes(plane, [pool], machine.port))
        name = stack.enter_context(run_namespace(plane))
        stack.enter_context(_runtime(plane))
        create(plane, name, _own_pod())
        (account / "token").write_text(
            plane.kubectl("-n", name, "create", "token", "openmofi-pipeline")
        )
        (account / "ca.crt").write_bytes(plane.authority.read_bytes())
        (account / "namespace").write_text(name)
        team = Team(plane, name, machine, account)
        yield team
        team.clear()


@contextlib.contextmanager
def _runtime(plane: ControlPlane) -> Iterator[None]:
    runtime = named(render("gpu"), "ClusterTrainingRuntime", "openmofi-torch")
    given = json.dumps(runtime)
    plane.kubectl("apply", "-f", "-", given=given)
    yield
    plane.kubectl("delete", "-f", "-", "--timeout=60s", given=given)


def _own_pod() -> Object:
    """The step's that launches, as far as a launcher reads it."""
    contained = {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    main = {"name": "main", "image": IMAGE, "securityContext": contained}
    spec = {"containers": [main], "serviceAccountName": "openmofi-pipeline"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": OWN_POD}, "spec": spec}
