"""A container's command, run here as its manifest has it: environment, arguments, scripts."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from support.manifests import Object, named

FIXED = {"HOME", "PATH", "TMPDIR"}


def environment(
    objects: list[Object], container: Object, secrets: Mapping[str, str], **changes: str
) -> dict[str, str]:
    """What the container would see.

    Args:
        objects: Where its config maps are.
        container: Of a pod template.
        secrets: Values by ``name/key``. What is optional and not among them is left out.
        changes: What is otherwise here, as addresses are. It must be there, but for `FIXED`.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", ()):
        source = variable.get("valueFrom", {})
        if "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            name = f"{reference['name']}/{reference['key']}"
            if name in secrets or not reference.get("optional"):
                found[variable["name"]] = secrets[name]
        elif "configMapKeyRef" in source:
            data = named(objects, "ConfigMap", source["configMapKeyRef"]["name"])["data"]
            found[variable["name"]] = data[source["configMapKeyRef"]["key"]]
        else:
            found[variable["name"]] = variable["value"]
    assert set(changes) - FIXED <= set(found), "no such variable in the manifest"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **found, **changes}


def command(container: Object, changes: Mapping[str, str]) -> list[str]:
    """Its command and arguments, with each of the ``changes`` made; each must be called for."""
    words = [*container.get("command", ()), *container.get("args", ())]
    for old, new in changes.items():
        assert any(old in word for word in words), old
        words = [word.replace(old, new) for word in words]
    return words


def run(words: list[str], given: Mapping[str, str], code: int = 0) -> str:
    """Run it to its end; both its outputs come back."""
    done = subprocess.run(
        words, env=dict(given), text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def told_of_our_end(how: int) -> Callable[[], None]:
    """For ``preexec_fn``: a signal for the child once we are gone, however that came. On Linux."""
    return lambda: ctypes.CDLL(None).prctl(1, how)


def write_scripts(objects: list[Object], template: Object, folder: Path) -> Path:
    """Put what the pod finds under /scripts into a new folder: the rendered map, not our files."""
    volume = next(v for v in template["spec"]["volumes"] if v["name"] == "scripts")
    folder.mkdir()
    for name, text in named(objects, "ConfigMap", volume["configMap"]["name"])["data"].items():
        (folder / name).write_text(text)
    return folder
