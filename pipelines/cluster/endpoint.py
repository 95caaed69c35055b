"""Where the Pipelines API is, who asks, and how it is reached."""

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from openmofi.errors import InputError
from pipelines.cluster.errors import ClusterError

ENDPOINT = "KF_PIPELINES_ENDPOINT"
UI = "KF_PIPELINES_UI_ENDPOINT"
TOKEN = "OPENMOFI_KFP_TOKEN"
TOKEN_FILE = "KF_PIPELINES_SA_TOKEN_PATH"
CA_FILE = "SSL_CERT_FILE"
# Where a pod finds what is projected into it.
PROJECTED_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_API_PORT = 8888
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
_FORWARD_WAIT_S = 30.0


@dataclass(frozen=True)
class Endpoint:
    """An address and whoever asks there.

    Args:
        url: ``http://…`` or ``https://…``, without a slash at its end.
        token: A bearer token, of the environment. It never shows in a message.
        token_file: A projected service account token, read anew for every call, since the kubelet
            renews it; used where ``token`` is empty.
        ca_file: Certificates to trust; empty for the system's.
        ui: Where a browser finds the pages; empty if that is not known.
    """

    url: str
    token: str = ""
    token_file: Path | None = None
    ca_file: str = ""
    ui: str = ""

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"

    def bearer(self) -> str:
        """The token as it is now; empty where there is none.

        Raises:
            InputError: The file can't be read, or holds what no header can.
        """
        if self.token or self.token_file is None:
            return _header(self.token, TOKEN)
        try:
            text = self.token_file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(
                f"the token file {self.token_file} can't be read ({error.strerror}): mend "
                f"{TOKEN_FILE}, or give the token in {TOKEN}"
            ) from None
        if not text.strip():
            raise InputError(f"the token file {self.token_file} is empty")
        return _header(text, str(self.token_file))

    def credential(self) -> str:
        """What it asks with, in words."""
        if self.token:
            return f"the token in {TOKEN}"
        return f"the token of {self.token_file}" if self.token_file else "a request without a token"


def _header(text: str, where: str) -> str:
    token = text.strip()
    if not all("!" <= letter <= "~" for letter in token):
        raise InputError(f"{where} holds no token: a space or a letter that no header can carry")
    return token


def find_endpoint(url: str = "") -> Endpoint:
    """The endpoint by option and environment.

    Args:
        url: What ``--endpoint`` says; else ``KF_PIPELINES_ENDPOINT`` does.

    Raises:
        InputError: There is none, or it is no address.
    """
    given, where = (url, "--endpoint") if url else (os.environ.get(ENDPOINT, ""), ENDPOINT)
    if not given:
        raise InputError(
            f"no Pipelines API: set {ENDPOINT} or --endpoint to its address, or reach it by "
            "--port-forward NAMESPACE"
        )
    try:
        parts = urlsplit(given)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        raise InputError(f"{where}: this is no address; write http://HOST:PORT") from None
    if "@" in parts.netloc:
        raise InputError(f"{where}: leave the password out, it would be printed; use {TOKEN}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InputError(f"{where}: {given!r} is no address; write http://HOST:PORT or https://…")
    return _with_credentials(given.rstrip("/"), pages=given)


def _with_credentials(url: str, *, pages: str = "") -> Endpoint:
    named = os.environ.get(TOKEN_FILE, "")
    file = Path(named) if named else PROJECTED_TOKEN if PROJECTED_TOKEN.is_file() else None
    return Endpoint(
        url,
        os.environ.get(TOKEN, ""),
        file,
        os.environ.get(CA_FILE, ""),
        (os.environ.get(UI) or pages).rstrip("/"),
    )


def pod_namespace() -> str:
    """The namespace that this process runs in, for one that runs in a pod; else empty."""
    try:
        return POD_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


@contextlib.contextmanager
def port_forward(namespace: str, *, wait_s: float = _FORWARD_WAIT_S) -> Iterator[Endpoint]:
    """Reach the API through kubectl and its kubeconfig for as long as the context is open.

    Args:
        namespace: Where Kubeflow Pipelines is installed.
        wait_s: How long kubectl may take.

    Raises:
        InputError: There is no kubectl.
        ClusterError: It ended, in its own words, or said nothing in time.
    """
    if shutil.which("kubectl") is None:
        raise InputError("--port-forward needs kubectl on the PATH")
    command = ["kubectl", "-n", namespace, "port-forward", "svc/ml-pipeline", f":{_API_PORT}"]
    # A session of its own: an interrupt is for us to hear first. We stop it ourselves.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            yield _with_credentials(f"http://127.0.0.1:{_forwarded_port(process, wait_s)}")
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _forwarded_port(process: subprocess.Popen[bytes], wait_s: float) -> int:
    assert process.stdout is not None
    end, said = time.monotonic() + wait_s, b""
    while (left := end - time.monotonic()) > 0:
        if not select.select([process.stdout], [], [], left)[0]:
            break
        part = os.read(process.stdout.fileno(), 4096)
        said += part
        if found := _FORWARDING.search(said.decode(errors="replace")):
            return int(found[1])
        if not part:
            words = " ".join(said.decode(errors="replace").split())[:300]
            raise ClusterError(f"kubectl port-forward ended: {words or 'it said nothing'}")
    raise ClusterError(f"kubectl port-forward gave no port in {wait_s:g} s")
