"""A real Kubernetes control plane on loopback: etcd, API server, controllers and scheduler.

No kubelet: pods are made, admitted and given to nodes, and never run. The four programs lie in the
folder KUBERNETES_BIN; an own ``etcd`` takes Kubernetes' usual options. Of Kubernetes 1.32 or later.
"""

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.pod_commands import told_of_our_end
from support.stacks import ports_in_a_row

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_TOKEN = "administrator-of-a-test"
_START_S = 120.0


@dataclass(frozen=True)
class ControlPlane:
    """What a client needs."""

    url: str
    kubeconfig: Path
    authority: Path

    def kubectl(self, *words: str, given: str = "", code: int | None = 0) -> str:
        """Stdout of kubectl as administrator; ``code``: the exit status it must have, if any."""
        done = self.run("kubectl", *words, given=given)
        assert code is None or done.returncode == code, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout

    def run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A command whose kubectl is led here."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            command, input=given, capture_output=True, text=True, env=environment, check=False
        )

    def get(self, *words: str) -> dict[str, Any]:
        """An object, or a list of them."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found


def lacking() -> str:
    """Why no control plane can be started here; empty if one can."""
    folder = os.environ.get("KUBERNETES_BIN", "")
    if not folder:
        return "KUBERNETES_BIN names no folder with a control plane's programs"
    missing = [name for name in PROGRAMS if not (Path(folder) / name).is_file()]
    if missing or not shutil.which("kubectl"):
        return f"{folder} lacks {', '.join(missing)}" if missing else "kubectl is not here"
    return ""


@contextlib.contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Servers for as long as the context is open; the test is skipped where they can't be had."""
    if lacking():
        pytest.skip(lacking())
    etcd, peers, port = ports_in_a_row(3)
    here = ControlPlane(
        f"https://127.0.0.1:{port}", folder / "kubeconfig", folder / "certificates/apiserver.crt"
    )
    _write_keys(folder)
    with contextlib.ExitStack() as stack:
        start = _Starter(folder, stack)
        start("etcd", *_etcd_options(folder, etcd, peers))
        start("kube-apiserver", *_server_options(folder, etcd, port))
        _wait_until_ready(here, start)
        here.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(here)))
        client = (f"--kubeconfig={here.kubeconfig}", "--leader-elect=false", "--secure-port=0")
        start("kube-controller-manager", *client, *_controller_options(folder))
        start("kube-scheduler", *client)
        yield here


class _Starter:
    """Starts a program with a log of its own, and ends it with the context."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(self, name: str, *options: str) -> None:
        log = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        program = Path(os.environ["KUBERNETES_BIN"]) / name
        process = subprocess.Popen(
            [program, *options], stdout=log, stderr=log, preexec_fn=told_of_our_end(signal.SIGKILL)
        )
        self.processes[name] = process
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)

    def check(self) -> None:
        """Tell what has ended by itself."""
        for name, process in self.processes.items():
            log = self._folder / f"{name}.log"
            assert process.poll() is None, f"{name} ended: {log.read_text()[-2000:]}"


def _write_keys(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = ["openssl", "genrsa", "-out", str(folder / "accounts.key"), "2048"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{_TOKEN},administrator,administrator,system:masters\n")


def _etcd_options(folder: Path, port: int, peers: int) -> list[str]:
    here, there = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={here}",
        f"--advertise-client-urls={here}",
        f"--listen-peer-urls={there}",
        f"--initial-advertise-peer-urls={there}",
        f"--initial-cluster=default={there}",
        "--unsafe-no-fsync",
    ]


def _server_options(folder: Path, etcd: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'accounts.key'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",  # as clusters have it: what refuses such a pod is Pod Security
        "--service-cluster-ip-range=10.0.0.0/24",
    ]


def _controller_options(folder: Path) -> list[str]:
    return [
        f"--service-account-private-key-file={folder / 'accounts.key'}",
        f"--root-ca-file={folder / 'certificates/apiserver.crt'}",
        # Nodes of a test have no kubelet that would report on them.
        "--controllers=*,-node-lifecycle-controller",
    ]


def _kubeconfig(here: ControlPlane) -> dict[str, Any]:
    authority = str(here.authority)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "administrator"}}],
        "clusters": [
            {"name": "test", "cluster": {"server": here.url, "certificate-authority": authority}}
        ],
        "users": [{"name": "administrator", "user": {"token": _TOKEN}}],
    }


def _wait_until_ready(here: ControlPlane, start: _Starter) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        start.check()
        with contextlib.suppress(OSError, urllib.error.URLError):
            context = ssl.create_default_context(cafile=str(here.authority))
            request = urllib.request.Request(f"{here.url}/readyz")
            request.add_header("Authorization", f"Bearer {_TOKEN}")
            urllib.request.urlopen(request, context=context, timeout=5)
            return
        time.sleep(0.3)
    raise AssertionError("the API server is not ready")
