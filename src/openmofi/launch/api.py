"""What a launcher asks of the Kubernetes API server, by the account of its own pod.

Six calls, and no watch: a look every few seconds survives an API server that restarts.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from openmofi.errors import InputError, OpenMofiError
from openmofi.launch.job import API_VERSION

TRAINER = API_VERSION.partition("/")[0]

# API group, resource, verb. k8s/gpu/launcher-role.yaml grants these and no more.
RIGHTS = frozenset(
    {
        (TRAINER, "trainjobs", "create"),
        (TRAINER, "trainjobs", "get"),
        (TRAINER, "trainjobs", "delete"),
        ("", "pods", "get"),
        ("", "pods", "list"),
        ("", "pods/log", "get"),
    }
)
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_METHODS = {"create": "POST", "get": "GET", "list": "GET", "delete": "DELETE"}
_PASSING = frozenset({0, 429, 500, 502, 503, 504})  # 0: no whole answer came
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
# The server hands a log on from the pod's node. A node that does not answer is a 500, for as long
# as it is lost: its job's end must be seen meanwhile.
_LOG_PATIENCE_S = 20.0


class KubernetesError(OpenMofiError):
    """The API server refused, or could not be reached. ``status`` is 0 where it never answered."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the same call may well be answered later."""
        return self.status in _PASSING


@dataclass(frozen=True)
class Place:
    """Where the API server is, and who asks.

    Args:
        url: ``https://host:port``.
        namespace: Of the launcher, its job and its pods.
        account: Folder with ``token`` and ``ca.crt``, as Kubernetes mounts it.
        pod: Name of the launcher's own pod.
    """

    url: str
    namespace: str
    account: Path
    pod: str = ""

    @classmethod
    def of_this_pod(cls, account: Path = ACCOUNT) -> "Place":
        """As Kubernetes tells every pod.

        Raises:
            InputError: This is no pod, or one without its account's token.
        """
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
        names = [account / name for name in ("namespace", "token", "ca.crt")]
        if not host or not all(name.is_file() for name in names):
            raise InputError(
                "training_nodes: several nodes need a cluster; here is no pod with a service "
                "account's token. Set training_nodes.count to 1, or submit the pipeline"
            )
        host = f"[{host}]" if ":" in host else host
        namespace = names[0].read_text().strip()
        return cls(f"https://{host}:{port}", namespace, account, os.environ.get("HOSTNAME", ""))


@dataclass
class Kubernetes:
    """The calls that a launcher makes.

    A request that broke, or that the server was too busy for, is sent again. All may be: a job is
    known by its name, so a second one is refused, and what is gone can't be taken away again.

    Args:
        place: Whom to ask.
        patience_s: How long one call is tried.
        timeout_s: How long one answer may take.
    """

    place: Place
    patience_s: float = 600.0
    timeout_s: float = 30.0
    _http: urllib3.PoolManager = field(init=False, repr=False)

    def __post_init__(self) -> None:
        certificate = self.place.account / "ca.crt"
        self._http = urllib3.PoolManager(
            ca_certs=str(certificate) if certificate.is_file() else None,
            timeout=urllib3.Timeout(connect=min(10.0, self.timeout_s), read=self.timeout_s),
            retries=False,
        )

    def create_job(self, job: Mapping[str, Any]) -> dict[str, Any] | None:
        """Make a job; None if there is one of its name.

        A field that the cluster's Trainer does not have is refused. Unasked, the server would drop
        it, and a job without its limit of time, say, would be made.
        """
        strictly = {"fieldValidation": "Strict"}
        try:
            return self._object("create", "trainjobs", body=job, query=strictly)
        except KubernetesError as error:
            if error.status == 409:
                return None
            raise

    def job(self, name: str) -> dict[str, Any] | None:
        """A job as it stands; None if there is none."""
        return self._unless_gone("get", "trainjobs", name)

    def delete_job(self, name: str, uid: str) -> None:
        """Take that very job away; nothing happens if it is gone or another one.

        It is gone at once, and its pods are told to end; they are listed until they have. A job
        that stayed until then would be given new pods meanwhile: Trainer 2.3 looks at no deletion.
        """
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            self._unless_gone("delete", "trainjobs", name, body=body)
        except KubernetesError as error:
            if error.status != 409:
                raise

    def pods_of(self, job: str) -> list[dict[str, Any]]:
        """The pods of a job's nodes, in no order."""
        labels = f"jobset.sigs.k8s.io/jobset-name={job},jobset.sigs.k8s.io/replicatedjob-name=node"
        found = self._object("list", "pods", query={"labelSelector": labels})
        return list(found.get("items") or [])

    def log_of(self, pod: str, **query: str) -> str | None:
        """A node's log; None while its container has not begun, or if the pod is gone.

        Raises:
            KubernetesError: Refused, or its machine does not answer; in the second case `passing`.
        """
        options = {"container": "node", "timestamps": "true", **query}
        try:
            return self._call("get", "pods/log", pod, query=options).decode(errors="replace")
        except KubernetesError as error:
            if error.status in (400, 404):
                return None
            raise

    def own_image(self) -> str:
        """The image that this pod's step runs in, as its pod names it."""
        pod = self._object("get", "pods", self.place.pod)
        images = {one["name"]: one["image"] for one in pod["spec"]["containers"]}
        if "main" not in images:  # as Argo calls a step's container
            raise KubernetesError(f"pod {self.place.pod} has no container 'main': {list(images)}")
        return str(images["main"])

    def _unless_gone(self, *call: str, body: Any = None) -> dict[str, Any] | None:
        try:
            return self._object(*call, body=body)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    def _patience_s(self, resource: str) -> float:
        return min(self.patience_s, _LOG_PATIENCE_S) if resource == "pods/log" else self.patience_s

    def _object(self, verb: str, resource: str, name: str = "", **sent: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._call(verb, resource, name, **sent))
        return found

    def _call(self, verb: str, resource: str, name: str = "", **sent: Any) -> bytes:
        """The answer, after as many attempts as it takes.

        Args:
            verb: As in `RIGHTS`.
            resource: As in `RIGHTS`.
            name: Of one object.
            sent: ``body`` and ``query``.
        """
        group = TRAINER if resource == "trainjobs" else ""
        if (group, resource, verb) not in RIGHTS:
            raise ValueError(f"no right is asked for to {verb} {resource}")
        path = self._path(group, resource, name)
        end, wait = time.monotonic() + self._patience_s(resource), _FIRST_WAIT_S
        while True:
            status, data = self._send(_METHODS[verb], path, is_log=resource == "pods/log", **sent)
            if 200 <= status < 300:
                return data
            left = end - time.monotonic()
            if left <= 0 or status not in _PASSING:
                raise self._refusal(f"{verb} {resource}" + f" '{name}'" * bool(name), status, data)
            time.sleep(min(wait, left))
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _path(self, group: str, resource: str, name: str) -> str:
        kind, _, part = resource.partition("/")
        root = f"/apis/{API_VERSION}" if group else "/api/v1"
        parts = [one for one in (kind, quote(name, safe=""), part) if one]
        return f"{root}/namespaces/{self.place.namespace}/{'/'.join(parts)}"

    def _send(
        self,
        method: str,
        path: str,
        *,
        is_log: bool,
        body: Any = None,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body; status 0 with the reason where no whole answer came."""
        headers = {"Accept": "*/*" if is_log else "application/json"}
        token = self.place.account / "token"
        if token.is_file():  # read anew each time: Kubernetes changes it every hour
            headers["Authorization"] = f"Bearer {token.read_text().strip()}"
        url = f"{self.place.url}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            answer = self._http.request(method, url, json=body, headers=headers)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return 0, " ".join(str(error).split()).encode()
        if answer.status < 300 and not is_log and not _is_object(answer.data):
            return 0, b"half an answer"
        return answer.status, answer.data

    def _refusal(self, what: str, status: int, data: bytes) -> KubernetesError:
        where = f"Kubernetes at {self.place.url}, namespace {self.place.namespace}"
        told = _message(data)
        if not status:
            return KubernetesError(f"{where}, can't be reached to {what}: {told}")
        fix = "" if _ADMISSION in told else _FIXES.get(status, "")
        if status == 404 and what.startswith("create"):
            fix = "; is Kubeflow Trainer 2.2 or later installed?"
        return KubernetesError(f"{where}, refused to {what} ({status}): {told}{fix}", status)


_ADMISSION = "admission webhook"  # whose refusals are 403 too, and say themselves what is wrong
_FIXES = {
    401: "; is the pod's service account still there?",
    403: "; k8s/gpu has the role that a launcher needs, of the service account openmofi-pipeline",
}


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _message(data: bytes) -> str:
    """What the server says, in one line."""
    text = data.decode(errors="replace")
    if _is_object(data):
        text = str(json.loads(data).get("message", text))
    return " ".join(text.split())[:500]
