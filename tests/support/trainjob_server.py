"""A Kubernetes API server for launchers: TrainJobs, pods and logs over HTTP, with faults.

It admits what fits Trainer's CRD, answers as Kubernetes does (a `Status` for every refusal), keeps
the pods of a job that is deleted until they have ended, and can be told to fail. What happens to a
job is for the test to say: it plays the controller.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

from support.crds import check, read_crd

NAMESPACE = "kubeflow-user"
IMAGE = "registry.example/openmofi-training-python@sha256:" + "0" * 64
_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/v1alpha1)/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<kind>\w+)(?:/(?P<name>[^/]+))?(?:/(?P<part>\w+))?"
)
_VERBS = {"POST": "create", "DELETE": "delete"}
Object = dict[str, Any]


class Cluster:
    """What the server holds."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.logs: dict[str, str] = {}
        self.calls: list[tuple[str, str, str]] = []  # API group, resource, verb
        self.queries: list[dict[str, list[str]]] = []
        self.tokens: list[str] = []
        self.made = 0
        # Asked before each call; an answer (status, message) goes out in the place of the real one,
        # "half" cuts the real one in two, "lost" does what is asked and breaks the connection.
        self.fault: Callable[[str, str], tuple[int, str] | str | None] = lambda verb, what: None
        self.on_made: Callable[[Object], None] = lambda job: None
        self.crd = read_crd("trainjobs")
        self.installed = True
        self.pods["launcher"] = {
            "metadata": {"name": "launcher", "uid": "u-launcher", "labels": {}},
            "spec": {
                "containers": [{"name": "wait", "image": "argo"}, {"name": "main", "image": IMAGE}]
            },
        }

    # What the test's controller does

    def set_condition(self, kind: str, message: str = "", *, holds: bool = True) -> None:
        with self.lock:
            (job,) = self.jobs.values()
            conditions = job.setdefault("status", {}).setdefault("conditions", [])
            conditions[:] = [one for one in conditions if one["type"] != kind]
            conditions.append(
                {"type": kind, "status": "True" if holds else "False", "message": message}
            )

    def start_node(self, index: int, phase: str = "Running") -> str:
        with self.lock:
            (job,) = self.jobs
            name = f"{job}-node-0-{index}-{len(self.pods):05d}"
            labels = {
                "jobset.sigs.k8s.io/jobset-name": job,
                "jobset.sigs.k8s.io/replicatedjob-name": "node",
                "batch.kubernetes.io/job-completion-index": str(index),
            }
            made = f"2026-11-29T00:00:{len(self.pods):02d}Z"
            self.pods[name] = {
                "metadata": {
                    "name": name, "uid": f"u-{name}", "labels": labels, "creationTimestamp": made,
                },
                "spec": {"nodeName": "gpu-7"},
                "status": {"phase": phase},
            }  # fmt: skip
            self.logs[name] = ""
            return name

    def end_node(self, name: str, code: int, *, at: str, reason: str = "Error") -> None:
        with self.lock:
            end = {"exitCode": code, "reason": reason, "finishedAt": at}
            self.pods[name]["status"] = {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [{"name": "node", "state": {"terminated": end}}],
            }
            if "deletionTimestamp" in self.pods[name]["metadata"]:
                del self.pods[name]

    def write(self, name: str, text: str, *, when: datetime | None = None) -> None:
        stamp = f"{when or datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
        with self.lock:
            self.logs[name] += "".join(f"{stamp} {line}\n" for line in text.splitlines())

    def remove_job(self, *, keep_pods: bool = False) -> None:
        with self.lock:
            (job,) = self.jobs
            del self.jobs[job]
            for name in [n for n in self.pods if n.startswith(job) and not keep_pods]:
                del self.pods[name]

    # What a client is answered

    def answer(self, verb: str, kind: str, name: str, part: str, body: Any, query: Any) -> Any:
        """Status, and an object or a text."""
        if kind == "trainjobs":
            if not self.installed:
                return 404, "404 page not found"
            if verb == "create":
                assert query["fieldValidation"] == ["Strict"]  # else what is unknown is dropped
            return getattr(self, f"_{verb}_job")(name, body)
        if not name:
            wanted = dict(one.split("=") for one in query["labelSelector"][0].split(","))
            pods = [
                p for p in self.pods.values() if wanted.items() <= p["metadata"]["labels"].items()
            ]
            return 200, {"kind": "PodList", "items": pods}
        if name not in self.pods:
            return 404, _status(404, "NotFound", f'pods "{name}" not found')
        return self._log(name, query) if part else (200, self.pods[name])

    def _create_job(self, _: str, body: Object) -> tuple[int, Any]:
        name = body["metadata"]["name"]
        try:
            check(body, self.crd)
        except jsonschema.ValidationError as error:
            if error.validator == "additionalProperties":
                message = f"strict decoding error: unknown field: {error.message}"
                return 400, _status(400, "BadRequest", message)
            return 422, _status(422, "Invalid", error.message)
        if name in self.jobs:
            message = f'trainjobs.trainer.kubeflow.org "{name}" already exists'
            return 409, _status(409, "AlreadyExists", message)
        self.made += 1
        metadata = {**body["metadata"], "uid": f"uid-{self.made}"}
        self.jobs[name] = {**body, "metadata": metadata}
        self.on_made(self.jobs[name])
        return 201, self.jobs[name]

    def _get_job(self, name: str, _: Any) -> tuple[int, Any]:
        if name in self.jobs:
            return 200, self.jobs[name]
        return 404, _status(404, "NotFound", f'trainjobs.trainer.kubeflow.org "{name}" not found')

    def _delete_job(self, name: str, body: Object) -> tuple[int, Any]:
        status, found = self._get_job(name, None)
        if status == 200:
            if body["preconditions"]["uid"] != found["metadata"]["uid"]:
                return 409, _status(409, "Conflict", "the UID in the precondition is another")
            assert body["propagationPolicy"] == "Background"
            del self.jobs[name]
            for pod in self._pods_of(name):
                if pod["status"]["phase"] == "Running":
                    pod["metadata"]["deletionTimestamp"] = "2026-11-29T00:06:00Z"
                else:
                    del self.pods[pod["metadata"]["name"]]
        return status, found

    def _pods_of(self, job: str) -> list[Object]:
        return [pod for name, pod in self.pods.items() if name.startswith(job)]

    def _log(self, name: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        assert query["container"] == ["node"]
        if self.pods[name]["status"]["phase"] == "Pending":
            return 400, _status(400, "BadRequest", f'container "node" in pod "{name}" is waiting')
        lines = self.logs[name].splitlines(keepends=True)
        if "sinceTime" in query:
            since = query["sinceTime"][0].removesuffix("Z")
            lines = [line for line in lines if line[:19] >= since]
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"][0]) :]
        return 200, "".join(lines)


def _status(code: int, reason: str, message: str) -> Object:
    return {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        address = urlsplit(self.path)
        found = _PATH.fullmatch(address.path)
        assert found, self.path
        assert found["namespace"] == NAMESPACE
        kind, name, part = found["kind"], found["name"] or "", found["part"] or ""
        verb = _VERBS.get(self.command, "get" if name else "list")
        resource = f"{kind}/{part}" if part else kind
        query = parse_qs(address.query)
        cluster = self.cluster
        with cluster.lock:
            cluster.calls.append((found["group"] or "", resource, verb))
            cluster.queries.append(query)
            cluster.tokens.append(self.headers.get("Authorization", ""))
            fault = cluster.fault(verb, resource)
            if isinstance(fault, tuple):
                answer: Any = fault[0], _status(fault[0], "Fault", fault[1])
            else:
                answer = cluster.answer(verb, kind, name, part, body, query)
            status, content = answer
            text = content if isinstance(content, str) else json.dumps(content)
        self._send(status, text.encode(), fault)

    def _send(self, status: int, data: bytes, fault: Any) -> None:
        if fault == "lost":
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault == "half" else data)
        self.close_connection = fault == "half"

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve(cluster: Cluster) -> Iterator[str]:
    """The address of a server, while it runs."""
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
