"""A kubectl on the PATH that forwards to a given port, and knows given pods and their logs."""

import json
import sys
from pathlib import Path
from typing import Any

_SCRIPT = """\
#!{python}
import json, pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
with open(folder / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
known = json.loads((folder / "kubectl.json").read_text())
def ended(*_):
    (folder / "ended").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, ended)
words = sys.argv[1:]
if "port-forward" in words:
    if known["error"]:
        sys.exit(known["error"])
    print("Forwarding from 127.0.0.1:%d -> 8888" % known["port"], flush=True)
    time.sleep(60)
elif "get" in words:
    print(json.dumps({{"items": known["pods"]}}))
elif "logs" in words:
    pod = words[words.index("logs") + 1]
    print(known["logs"].get(pod) or sys.exit("no such pod"))
"""


def install_kubectl(
    folder: Path,
    *,
    port: int = 0,
    pods: list[dict[str, Any]] | None = None,
    logs: dict[str, str] | None = None,
    error: str = "",
) -> Path:
    """Write it to ``folder``, which is to come first on the PATH."""
    known = {"port": port, "pods": pods or [], "logs": logs or {}, "error": error}
    (folder / "kubectl.json").write_text(json.dumps(known))
    script = folder / "kubectl"
    script.write_text(_SCRIPT.format(python=sys.executable, folder=str(folder)))
    script.chmod(0o755)
    return folder


def pod(name: str, node: str, **status: Any) -> dict[str, Any]:
    """A pod as Argo makes it."""
    annotations = {"workflows.argoproj.io/node-name": node}
    return {"metadata": {"name": name, "annotations": annotations}, "status": status}
