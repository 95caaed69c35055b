"""Nodes of a control plane that has none: what they offer, and a kubelet that knows logs only."""

import json
import re
import shlex
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.control_plane import ControlPlane
from support.manifests import K8S

_NOT_READY = "node.kubernetes.io/not-ready:NoSchedule-"  # a new node has it, whatever it says


@dataclass(frozen=True)
class Kind:
    """Some nodes that are alike.

    Args:
        name: What their names begin with.
        number: How many.
        cpus: What one offers to pods, as Kubernetes writes it.
        memory: As above.
        gpus: As above.
        pool: Its label by k8s/README.md; empty for none.
        tainted: By k8s/README.md too.
        taints: Further ones, which a cloud gives its nodes: key and value, all NoSchedule.
        labels: Further ones.
    """

    name: str
    number: int
    cpus: str
    memory: str
    gpus: int = 0
    pool: str = ""
    tainted: bool = False
    taints: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"{self.name}-{number}" for number in range(self.number)]


def node(name: str, kind: Kind, port: int = 10250) -> dict[str, Any]:
    """As a kubelet would register it."""
    offered = {"cpu": kind.cpus, "memory": kind.memory, "pods": "110"}
    offered |= {"nvidia.com/gpu": str(kind.gpus)} if kind.gpus else {}
    taints = [{"key": k, "value": v, "effect": "NoSchedule"} for k, v in kind.taints.items()]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**kind.labels, "kubernetes.io/hostname": name}},
        "spec": {"taints": taints},
        "status": {
            "allocatable": offered,
            "capacity": offered,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "ByATest"}],
        },
    }


@contextmanager
def nodes(plane: ControlPlane, kinds: Sequence[Kind], port: int = 10250) -> Iterator[None]:
    """Nodes, labelled and tainted by the lines of k8s/README.md, for as long as this is open."""
    made = [node(name, kind, port) for kind in kinds for name in kind.names]
    names = [one["metadata"]["name"] for one in made]
    given = json.dumps({"kind": "List", "apiVersion": "v1", "items": made})
    plane.kubectl("create", "-f", "-", given=given)
    try:
        plane.kubectl("taint", "node", *names, _NOT_READY)
        for kind in kinds:
            lines = [_readme("label")] if kind.pool else []
            lines += [_readme("taint")] if kind.tainted else []
            for line in lines:
                of_pool = line.replace("gpu-training", kind.pool)
                done = plane.run("sh", "-c", f"NODE={shlex.quote(' '.join(kind.names))}; {of_pool}")
                assert done.returncode == 0, done.stderr
        yield
    finally:
        plane.kubectl("delete", "node", *names, "--wait=false")


def _readme(verb: str) -> str:
    found = re.findall(rf"^kubectl {verb} node \$NODE .*$", (K8S / "README.md").read_text(), re.M)
    assert len(found) == 1
    return str(found[0])


class Kubelet:
    """What a node's kubelet says of its pods' logs: lines with the time of each."""

    def __init__(self) -> None:
        self.port = 0
        self.logs: dict[str, list[tuple[str, str]]] = {}
        self.asked: list[dict[str, list[str]]] = []

    def write(self, pod: str, *lines: str, when: str) -> None:
        self.logs.setdefault(pod, []).extend((when, line) for line in lines)

    def read(self, pod: str, query: Mapping[str, list[str]]) -> str:
        lines = self.logs.get(pod, [])
        if "sinceTime" in query:
            lines = [one for one in lines if one[0] >= query["sinceTime"][0][:19]]
        lines = lines[-int(query["tailLines"][0]) :] if "tailLines" in query else lines
        stamped = "timestamps" in query
        return "".join(f"{when} {line}\n" if stamped else f"{line}\n" for when, line in lines)


class _Handler(BaseHTTPRequestHandler):
    kubelet: Kubelet

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        _, kind, _, pod, _ = address.path.split("/")
        assert kind == "containerLogs"
        query = parse_qs(address.query)
        self.kubelet.asked.append(query)
        data = self.kubelet.read(pod, query).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def kubelet(folder: Path) -> Iterator[Kubelet]:
    """A kubelet on a port of its own; ``folder`` takes its key."""
    key, certificate = folder / "kubelet.key", folder / "kubelet.crt"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=node -keyout {key}"
    subprocess.run([*command.split(), "-out", certificate], check=True, capture_output=True)
    found = Kubelet()
    handler = type("Handler", (_Handler,), {"kubelet": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
