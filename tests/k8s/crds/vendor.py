"""Write the vendored CRDs anew: ``python tests/k8s/crds/vendor.py FOLDER``.

FOLDER holds git clones, called as in `SOURCES`, that have the version's tag. Descriptions and
versions that are not stored are left out: they are most of the size and check nothing of ours. A
status stands apart: what we write has none.
All four projects are under the Apache License 2.0.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

SOURCES = {
    ("trainer", "https://github.com/kubeflow/trainer", "v2.3.0"): (
        "manifests/base/crds/trainer.kubeflow.org_clustertrainingruntimes.yaml",
        "manifests/base/crds/trainer.kubeflow.org_trainjobs.yaml",
    ),
    ("jobset", "https://github.com/kubernetes-sigs/jobset", "v0.12.0"): (
        "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml",
    ),
    ("kueue", "https://github.com/kubernetes-sigs/kueue", "v0.19.2"): (
        "config/components/crd/bases/kueue.x-k8s.io_clusterqueues.yaml",
        "config/components/crd/bases/kueue.x-k8s.io_localqueues.yaml",
        "config/components/crd/bases/kueue.x-k8s.io_resourceflavors.yaml",
    ),
    ("pipelines", "https://github.com/kubeflow/pipelines", "2.17.0"): (
        "manifests/kustomize/base/crds/pipelines.kubeflow.org_pipelines.yaml",
        "manifests/kustomize/base/crds/pipelines.kubeflow.org_pipelineversions.yaml",
    ),
}


def bare(value: Any) -> Any:
    """A schema without its descriptions."""
    if isinstance(value, dict):
        kept = value.items()
        return {k: bare(v) for k, v in kept if not (k == "description" and isinstance(v, str))}
    return [bare(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    for (clone, project, version), paths in SOURCES.items():
        for path in paths:
            command = ["git", "-C", str(Path(sys.argv[1], clone)), "show", f"{version}:{path}"]
            shown = subprocess.run(command, capture_output=True, text=True, check=True)
            spec = yaml.safe_load(shown.stdout)["spec"]
            stored = next(one for one in spec["versions"] if one["storage"])
            schema = bare(stored["schema"]["openAPIV3Schema"])
            status = schema["properties"].pop("status", None)
            found = {
                "source": f"{project} {version} {path}",
                "licence": "Apache-2.0; cut by tests/k8s/crds/vendor.py",
                "apiVersion": f"{spec['group']}/{stored['name']}",
                "kind": spec["names"]["kind"],
                "scope": spec["scope"],
                "names": spec["names"],
                "subresources": stored.get("subresources", {}),
                "schema": schema,
                "status": status,
            }
            target = Path(__file__).with_name(f"{spec['names']['plural']}.json")
            target.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
