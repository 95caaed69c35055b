"""Kubeflow Trainer and JobSet, played on a real API server: conditions, nodes, their ends."""

from datetime import UTC, datetime
from typing import Any

from support.control_plane import ControlPlane
from support.manifests import render, templates
from support.run_namespaces import create, end_container, set_status
from support.waiting import wait_for

Object = dict[str, Any]


class Trainer:
    """The controllers of one namespace with one job."""

    def __init__(self, plane: ControlPlane, namespace: str, job: str) -> None:
        self.plane, self.namespace, self.name = plane, namespace, job
        self._template = templates(render("gpu"))["ClusterTrainingRuntime/openmofi-torch"]

    def jobs(self) -> list[Object]:
        return list(self.plane.get("-n", self.namespace, "trainjobs")["items"])

    def job(self) -> Object:
        """The job, once it is made."""
        wait_for(self.jobs)
        (found,) = self.jobs()
        assert found["metadata"]["name"] == self.name
        return found  # type: ignore[no-any-return]

    def set_condition(self, kind: str, message: str) -> None:
        condition = {
            "type": kind,
            "status": "True",
            "reason": f"Jobs{kind}",
            "message": message,
            "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        set_status(self.plane, self.namespace, "trainjob", self.name, {"conditions": [condition]})

    def add_node(self, index: int) -> str:
        """A pod as JobSet makes it of the runtime; the job waits for its end when it is deleted."""
        job = self.job()
        trainer, spec = job["spec"]["trainer"], self._template["spec"]
        (container,) = spec["containers"]
        given = {k: trainer[k] for k in ("image", "command", "args")}
        owner = {
            "apiVersion": job["apiVersion"], "kind": "TrainJob", "name": self.name,
            "uid": job["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip
        name = f"{self.name}-node-0-{index}-{job['metadata']['uid'][:5]}"
        labels = {
            "jobset.sigs.k8s.io/jobset-name": self.name,
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": str(index),
        }
        pod: Object = {"apiVersion": "v1", "kind": "Pod"}
        pod["metadata"] = {
            "name": name,
            "labels": {**self._template["metadata"]["labels"], **labels},
            "ownerReferences": [owner],
        }
        resources = trainer["resourcesPerNode"]
        containers = [{**container, **given, "resources": resources}]
        pod["spec"] = {**spec, "restartPolicy": "Never", "containers": containers}
        create(self.plane, self.namespace, pod)
        return name

    def start(self, pod: str) -> None:
        """Its kubelet says that it runs, once it has a node."""
        wait_for(lambda: self.has_node(pod))
        set_status(self.plane, self.namespace, "pod", pod, {"phase": "Running"})

    def end(self, pod: str, code: int, reason: str = "Completed") -> None:
        end_container(self.plane, self.namespace, pod, code, reason, "2026-11-29T00:10:00Z")

    def let_go(self, pod: str) -> None:
        """Its kubelet says that it has ended, within its grace period."""
        words = ("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false")
        self.plane.kubectl("-n", self.namespace, *words)

    def has_node(self, pod: str) -> bool:
        return "nodeName" in self.pod(pod)["spec"]

    def pod(self, name: str) -> Object:
        return self.plane.get("-n", self.namespace, "pod", name)
