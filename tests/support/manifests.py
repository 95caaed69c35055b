"""The objects of k8s/base, and what stands in them."""

from pathlib import Path
from typing import Any

import yaml

BASE = Path(__file__).parents[2] / "k8s" / "base"
Object = dict[str, Any]

# Made by the operator (k8s/README.md) or by KFP; all else must be in the base.
EXTERNAL = {
    ("Secret", "openmofi-storage"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    ("Secret", "openmofi-postgres"): {"POSTGRES_PASSWORD"},
}
KFP_OWNED = {"kfp-launcher", "mlpipeline-minio-artifact"}


def load() -> list[Object]:
    """The objects of the base. Its kustomization only lists files, so reading them is rendering."""
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    assert set(kustomization) == {"apiVersion", "kind", "resources"}
    files = [BASE / name for name in kustomization["resources"]]
    assert {path.name for path in files} == {p.name for p in BASE.glob("*.yaml")} - {
        "kustomization.yaml"
    }
    return [one for path in files for one in yaml.safe_load_all(path.read_text())]


OBJECTS = load()


def named(kind: str, name: str) -> Object:
    return next(o for o in OBJECTS if o["kind"] == kind and o["metadata"]["name"] == name)


def workloads() -> list[Object]:
    return [o for o in OBJECTS if o["kind"] in {"Deployment", "StatefulSet", "Job"}]


def pod(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec
