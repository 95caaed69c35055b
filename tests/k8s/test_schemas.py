"""Scope: k8s/: every object fits the schema of its kind, with no field that the kind has not.

Kubernetes' own kinds by kubernetes-validate; others by the CRDs of their projects (crds/vendor.py).
What CRDs say in CEL is not evaluated.
"""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kfp import compiler  # noqa: TID251 - no library code
from kfp.compiler.compiler_utils import KubernetesManifestOptions  # noqa: TID251

from pipelines.compile import PIPELINES
from support.crds import check
from support.manifests import OVERLAYS, Object, named, of_kind, render

KUBERNETES = "1.32"
CRDS = {
    (crd["apiVersion"], crd["kind"]): crd
    for crd in (json.loads(p.read_text()) for p in (Path(__file__).parent / "crds").glob("*.json"))
    if "schema" in crd
}


def objects() -> dict[str, Object]:
    """All that are rendered, each once, by kind, name and where it was first."""
    found: dict[str, Object] = {}
    for folder in (*OVERLAYS, "kueue", "restore"):
        for one in render(folder):
            if one not in found.values():
                found[f"{folder}/{one['kind']}/{one['metadata']['name']}"] = one
    return found


OBJECTS = objects()
CUSTOM = {k: o for k, o in OBJECTS.items() if (o["apiVersion"], o["kind"]) in CRDS}
BUILT_IN = {k: o for k, o in OBJECTS.items() if k not in CUSTOM}


def check_custom(one: Object) -> None:
    check(one, CRDS[one["apiVersion"], one["kind"]])


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_object_fits_the_schema_of_its_kind(name: str) -> None:
    with_version = BUILT_IN[name]
    assert (
        "." not in with_version["apiVersion"].split("/")[0]
        or ".k8s.io/" in (with_version["apiVersion"])
    ), "a custom kind without its CRD"
    kubernetes_validate.validate(with_version, KUBERNETES, strict=True)


def test_that_check_would_find_a_misspelt_field() -> None:
    wrong = named(render("local"), "ConfigMap", "openmofi-settings") | {"dta": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="dta"):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", CUSTOM)
def test_a_custom_object_fits_its_projects_crd(name: str) -> None:
    check_custom(CUSTOM[name])


def test_the_kinds_of_trainer_and_kueue_are_among_them() -> None:
    assert {one["kind"] for one in CUSTOM.values()} == {
        "ClusterTrainingRuntime", "ResourceFlavor", "ClusterQueue", "LocalQueue",
    }  # fmt: skip
    for one in CUSTOM.values():
        cluster_wide = CRDS[one["apiVersion"], one["kind"]]["scope"] == "Cluster"
        assert cluster_wide == (one["kind"] != "LocalQueue")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("ClusterTrainingRuntime", ["spec", "template", "spec", "replicatedJobs", 0, "template"]),
        ("ClusterTrainingRuntime", ["spec", "mlPolicy", "torch"]),
        ("ClusterQueue", ["spec", "resourceGroups", 0, "flavors", 0]),
        ("ResourceFlavor", ["spec"]),
    ],
)
def test_that_check_would_find_a_misspelt_field_at_any_depth(kind: str, path: list[Any]) -> None:
    wrong = copy.deepcopy(of_kind(list(CUSTOM.values()), kind)[0])
    inner = wrong
    for part in path:
        inner = inner[part]
    inner["numProcPerNod"] = 1
    with pytest.raises(jsonschema.ValidationError, match="numProcPerNod"):
        check_custom(wrong)


def test_a_compiled_pipeline_can_be_applied_as_objects(tmp_path: Path) -> None:
    """For who keeps pipelines in git: KFP's Pipeline and PipelineVersion."""
    options = KubernetesManifestOptions(
        pipeline_name="train", pipeline_version_name="train-1a2b3c", include_pipeline_manifest=True
    )
    compiler.Compiler().compile(
        PIPELINES["train"], str(tmp_path / "train.yaml"),
        kubernetes_manifest_format=True, kubernetes_manifest_options=options,
    )  # fmt: skip
    made = list(yaml.safe_load_all((tmp_path / "train.yaml").read_text()))
    assert [one["kind"] for one in made] == ["Pipeline", "PipelineVersion"]
    for one in made:
        check_custom(one)
    made[1]["spec"]["pipelineNam"] = "train"
    with pytest.raises(jsonschema.ValidationError, match="pipelineNam"):
        check_custom(made[1])
