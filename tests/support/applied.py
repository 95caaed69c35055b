"""k8s/ on a control plane: namespaces, the reader's own overlay, blocks of the documents."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from support.control_plane import ControlPlane
from support.manifests import K8S
from support.runbooks import blocks

README = K8S / "README.md"


@contextlib.contextmanager
def restricted_namespace(plane: ControlPlane, name: str = "") -> Iterator[str]:
    """A namespace that admits by Pod Security "restricted"; gone, or going, afterwards."""
    name = name or f"user-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", name)
    label = "pod-security.kubernetes.io"
    plane.kubectl(
        "label", "namespace", name, f"{label}/enforce=restricted",
        f"{label}/enforce-version=v1.32", f"{label}/warn=restricted",
    )  # fmt: skip
    try:
        yield name
    finally:
        plane.kubectl("delete", "namespace", name, "--wait=false")


def checkout(folder: Path, *, over: str = "local") -> Path:
    """What commands need of a checkout, with k8s/mine as k8s/README.md tells to write it."""
    shutil.copytree(K8S, folder / "k8s")
    (text,) = (block.code for block in blocks(README) if block.language == "yaml")
    assert "resources: [../overlays/local]" in text
    mine = folder / "k8s" / "mine"
    mine.mkdir()
    text = text.replace("overlays/local", f"overlays/{over}", 1).replace("…", "0" * 64)
    (mine / "kustomization.yaml").write_text(text)
    return folder


def readme_block(heading: str) -> str:
    """The first block of commands below a heading of k8s/README.md."""
    (part,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", README.read_text(), re.M | re.S)
    found = re.search(r"^```bash\n(.*?)^```$", part, re.M | re.S)
    assert found
    return found[1]


def run(
    plane: ControlPlane, code: str, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Commands as they are written, in a checkout whose parent is the reader's home."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(folder.parent),
        "KUBECONFIG": str(plane.kubeconfig),
        **variables,
    }
    return subprocess.run(
        ["bash", "-euc", code], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
