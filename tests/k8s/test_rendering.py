"""Scope: k8s/: what kubectl makes of it is what the other tests read."""

import shutil
import subprocess

import pytest
import yaml

from support.manifests import K8S, OVERLAYS, Object, render

FOLDERS = [*(f"overlays/{name}" for name in OVERLAYS), "kueue", "restore"]


def test_every_kustomization_is_looked_at() -> None:
    found = {str(path.parent.relative_to(K8S)) for path in K8S.rglob("kustomization.yaml")}
    assert found == {*FOLDERS, "base", "gpu"}  # which the overlays take in


def test_every_file_is_used() -> None:
    seen = 0
    for path in K8S.rglob("kustomization.yaml"):
        others = {one.name for one in path.parent.iterdir() if one.is_file()} - {path.name}
        assert {name for name in others if name not in path.read_text()} == set()
        seen += len(others)
    assert seen >= 20


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.parametrize("folder", FOLDERS)
def test_kubectl_renders_the_same(folder: str) -> None:
    command = ["kubectl", "kustomize", str(K8S / folder)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def key(one: Object) -> tuple[str, str]:
        return one["kind"], one["metadata"]["name"]

    objects = sorted(render(folder), key=key)
    assert len(objects) >= 2
    assert sorted(yaml.safe_load_all(rendered), key=key) == objects
